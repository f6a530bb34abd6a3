# Around each task: what follows the profile's setup, and what follows the task and the profile's teardown.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" SLURM_KILL_BAD_EXIT=1
job="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" start="${SLURM_RESTART_COUNT:-0}"
this="$folder/$job"
trap : TERM # it announces a preemption; Slurm itself ends this shell
# submitit moves a pickle for each task into place once sbatch has answered, if the front command still lives then. Here
# one pickle, written before, serves all tasks, and each job puts it there itself.
[ -e "${this}_submitted.pkl" ] || cp "$folder"/task.pkl "${this}_submitted.pkl"
kills() { grep -sc '^srun: error: .*Out Of Memory' "${this}_0_log.err"; }
before=$(kills)
# ---------------------------------------------------------------------------------------------------------- the task
# A task goes back to the queue if it was told to go (SIGUSR2, SIGTERM) before it could ask for that itself, or if it or
# one of its processes was killed, as for their memory. Slurm must still count it as running: a cancelled job stays so.
[ "$(kills)" = "$before" ] || [ -e "${this}_0_result.pkl" ] || { touch "$this.out_of_memory.$start"; code=137; }
[ $code -eq 140 ] || [ $code -eq 143 ] || { [ $code -gt 128 ] && [ "$start" -lt "$attempts" ]; } || exit $code
squeue --noheader --jobs="$job" --format=%T | grep -qx RUNNING || exit $code
echo "contrastbench: back to the queue (exit code $code)" >&2
scontrol requeue "$job" || echo "contrastbench: told to go, and Slurm does not take the job back" >&2
exit $code
