"""What contrastive recommenders claim over their base, and what this suite found beside it; judged from rows."""

from contrastbench.verdicts.claims import Curve, Equal, Greater, named_after

HR = "test_hr10_zeroed_percent"
MAIN = ("main/paper", "main/quick")

# fmt: off
CLAIMS = named_after("3ccc134", [
    Greater("sasrec_over_poprec", "SASRec beats recommending what is popular.", "S3-Rec, full ranking", MAIN, HR,
            printed=2.48, method="SASRec", over="PopRec"),
    Greater("s3rec", "S3-Rec's pre-training with attributes improves SASRec.", "S3-Rec, full ranking",
            ("main/paper", "pretraining/lite"), HR, printed=0.55, method="S3-Rec", over="SASRec"),
    Greater("cl4srec", "CL4SRec improves SASRec.", "CL4SRec", MAIN, HR, matters=0.3, method="CL4SRec", over="SASRec"),
    Greater("coserec", "CoSeRec improves SASRec.", "CoSeRec, main table", MAIN, HR, matters=0.3, method="CoSeRec",
            over="SASRec"),
    Greater("coserec_over_cl4srec", "CoSeRec improves CL4SRec.", "CoSeRec, main table", MAIN, HR, matters=0.3,
            method="CoSeRec", over="CL4SRec"),
    Greater("iclrec", "ICLRec improves SASRec.", "ICLRec", MAIN, HR, matters=0.3, method="ICLRec", over="SASRec"),
    Greater("duorec", "DuoRec improves SASRec trained over all items.", "DuoRec", ("main/paper", "loss/quick"), HR,
            matters=0.3, method="DuoRec", over="SASRec, CE"),
    Curve("weight", "CL4SRec's contrastive term helps most at a weight of 0.1.", "CL4SRec",
          ("lambda/paper", "lambda/lite"), HR, matters=0.3, x="weight", line="", best=(0.05, 0.1, 0.2)),
    Greater("dot_products", "By cosine the contrastive term does less harm than by dot product.", "this suite",
            ("temperature/paper", "temperature/lite"), HR, matters=0.5, method="cosine, t=0.5", over="dot, t=1",
            ours=True),
    Greater("hard_negatives", "Hard negatives (HCL, beta = 1) improve CL4SRec.", "this suite",
            ("beta/paper", "beta/lite"), HR, matters=0.3, method="HCL beta=1", over="NT-Xent", ours=True),
    Greater("masking", "Ranking items that were seen already lowers the hit ratio.", "this suite",
            ("rules/paper", "rules/quick"), HR, matters=0.3,
            terms=((1, "SASRec", HR), (-1, "SASRec", "test_hr10_unmasked_percent")), ours=True),
    Equal("zero_or_exclude", "Whether seen items score zero or are excluded makes no difference.", "this suite",
          ("rules/paper", "rules/quick"), HR, matters=0.1,
          terms=((1, "SASRec", HR), (-1, "SASRec", "test_hr10_excluded_percent")), ours=True),
    Equal("clean_negatives", "Never drawing the item of the test as a negative makes no difference.", "this suite",
          ("negatives/paper", "negatives/quick"), HR, matters=0.5, method="SASRec, clean negatives", over="SASRec",
          ours=True),
]) + named_after("9d282c3", [
    Greater("cl4srec_over_poprec", "CL4SRec beats recommending what is popular.", "CL4SRec", MAIN, HR, matters=1.0,
            method="CL4SRec", over="PopRec"),
    Greater("cl4srec_over_transitions", "CL4SRec beats counting what came right after the last item.", "this suite",
            MAIN, HR, matters=1.0, method="CL4SRec", over="Transitions", ours=True),
]) + named_after("1f69733", [
    Greater("patience", "SASRec waits too short: a patience of 30 epochs in place of 10 improves it.", "this suite",
            ("main/paper",), HR, matters=0.5, method="SASRec, patience 30", over="SASRec", ours=True),
    Greater("s3rec_released", "SASRec that goes on from S3-Rec's released weights is better than SASRec.",
            "S3-Rec, full ranking", ("pretraining/paper",), HR, printed=0.55,
            method="S3-Rec, the authors' pre-training", over="SASRec"),
]) + [
    Greater("cl4srec_ce", "CL4SRec improves SASRec where both are trained over all items.", "CL4SRec",
            ("main/paper", "loss/quick"), HR, matters=0.3, method="CL4SRec, CE", over="SASRec, CE"),
    Greater("coserec_as_long", "CoSeRec improves SASRec that may train as long.", "CoSeRec, main table",
            ("main/paper",), HR, matters=0.3, method="CoSeRec", over="SASRec, patience 40"),
    Greater("iclrec_as_long", "ICLRec improves SASRec that may train as long.", "ICLRec", ("main/paper",), HR,
            matters=0.3, method="ICLRec", over="SASRec, patience 40"),
]
