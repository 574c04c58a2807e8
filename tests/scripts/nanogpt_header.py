"""What stands at the top of nanoGPT's training script, down to the first batch."""

import os
from contextlib import nullcontext

import numpy as np

import ddp as torch
from ddp.distributed import destroy_process_group, init_process_group
from ddp.nn.parallel import DistributedDataParallel as DDP

device = "cpu"
dtype = "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float16"
parallel = int(os.environ.get("RANK", -1)) != -1
if parallel:
    init_process_group(backend="nccl")
    model = DDP(torch.nn.Linear(1, 1))
    destroy_process_group()

torch.manual_seed(1337)
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True
device_type = "cuda" if "cuda" in device else "cpu"
ptdtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
ctx = (
    nullcontext()
    if device_type == "cpu"
    else torch.amp.autocast(device_type=device_type, dtype=ptdtype)
)
scaler = torch.amp.GradScaler("cuda", enabled=(dtype == "float16" and device_type == "cuda"))
data = np.arange(10, dtype=np.uint16)
ix = torch.randint(len(data) - 4, (4,))
x = torch.stack([torch.from_numpy((data[i : i + 4]).astype(np.int64)) for i in ix])
x = x.pin_memory().to(device, non_blocking=True) if device_type == "cuda" else x.to(device)
with ctx:
    print(x.tolist())
