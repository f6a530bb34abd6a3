# Around the task of each job: what follows the lines of the profile's setup, and what follows the task, whose exit code is
# `code`, and the profile's teardown. `folder` is that of the submission, `attempts` the profile's.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" SLURM_KILL_BAD_EXIT=1
job="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" start="${SLURM_RESTART_COUNT:-0}"
this="$folder/$job"
trap : TERM # it announces a preemption; Slurm itself ends this shell
# submitit moves a pickle for each task into place once sbatch has answered. If the front command dies before that,
# nobody does. So one pickle, written before, serves all tasks, and each job puts it there itself.
[ -e "${this}_submitted.pkl" ] || cp "$folder"/task.pkl "${this}_submitted.pkl"
kills() { grep -sc '^srun: error: .*Out Of Memory' "${this}_0_log.err"; }
before=$(kills)
# ---------------------------------------------------------------------------------------------------------- the task
# Slurm has killed processes for their memory, and the task did not come to its end: it begins again and sees to that.
[ "$(kills)" = "$before" ] || [ -e "${this}_0_result.pkl" ] || { touch "$this.out_of_memory.$start"; code=137; }
# So does a task that was told to go (SIGUSR2, SIGTERM) before it could ask for the requeue, or that was killed. One that
# Slurm no longer counts as running does not: a cancelled job stays cancelled.
[ $code -eq 140 ] || [ $code -eq 143 ] || { [ $code -gt 128 ] && [ "$start" -lt "$attempts" ]; } || exit $code
squeue --noheader --jobs="$job" --format=%T | grep -qx RUNNING || exit $code
echo "contrastbench: back to the queue (exit code $code)" >&2
scontrol requeue "$job" || echo "contrastbench: told to go, and Slurm does not take the job back" >&2
exit $code
