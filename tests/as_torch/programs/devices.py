"""What programs ask before they use a device, and what they switch on."""

import torch
from torch import amp, nn
from torch.cuda.amp import GradScaler, autocast

print(torch.cuda.is_available(), torch.cuda.device_count(), torch.backends.mps.is_available())
print(
    torch.accelerator.is_available(), torch.xpu.is_available(), torch.distributed.is_initialized()
)
device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
device = torch.device("cuda:0" if torch.cuda.is_available() else device)
print(device, device.type, device == torch.device("cpu"), torch.zeros(1, device=device).device)
torch.cuda.manual_seed_all(1)
torch.manual_seed(1)
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True
torch.set_float32_matmul_precision("high")
torch.set_default_device("cpu")
model = nn.Linear(2, 1).to(device=device)
scaler = GradScaler(enabled=torch.cuda.is_available())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    with autocast(enabled=False), amp.autocast("cpu", enabled=False):
        loss = model(torch.ones(3, 2)).pow(2).mean()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    print(loss)
print(
    torch.is_grad_enabled(),
    torch.get_num_threads(),
    torch.get_default_dtype(),
    torch.__version__[:2],
)
with torch.set_grad_enabled(False):
    print(model(torch.ones(1, 2)).requires_grad)
with torch.inference_mode():
    print(torch.is_grad_enabled())
try:
    torch.no_such_function
except AttributeError:
    print("AttributeError")
try:
    from torch.nn import NoSuchModule  # noqa: F401
except ImportError:
    print("ImportError")
try:
    import torch.no_such_module
except ImportError:
    print("ImportError")
print(
    hasattr(torch, "no_such_function"), hasattr(torch.nn.functional, "scaled_dot_product_attention")
)
