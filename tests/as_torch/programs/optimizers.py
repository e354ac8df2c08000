"""Optimizers and schedules in turn, on one problem."""

import torch

torch.manual_seed(8)
x, y = torch.randn(20, 3), torch.randn(20, 1)


def trained(make, steps=6, schedule=None):
    torch.manual_seed(9)
    model = torch.nn.Linear(3, 1)
    optimizer = make(model.parameters())
    scheduler = schedule(optimizer) if schedule else None

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y, reduction="mean")
        loss.backward()
        return loss

    for _ in range(steps):
        loss = optimizer.step(closure)
        if scheduler:
            scheduler.step()
    return loss.item(), optimizer.param_groups[0]["lr"]


o, s = torch.optim, torch.optim.lr_scheduler
print(trained(lambda p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True)))
print(trained(lambda p: o.Adam(p, lr=0.1, amsgrad=True)), trained(lambda p: o.AdamW(p)))
print(
    trained(lambda p: o.RMSprop(p, centered=True)),
    trained(lambda p: o.Adagrad(p)),
    trained(lambda p: o.NAdam(p)),
)
print(trained(lambda p: o.LBFGS(p, lr=0.8, max_iter=4), 2), trained(lambda p: o.RAdam(p)))
print(
    trained(lambda p: o.Adadelta(p)), trained(lambda p: o.Adamax(p)), trained(lambda p: o.Rprop(p))
)
print(trained(lambda p: o.SGD(p, lr=0.1), schedule=lambda q: s.CosineAnnealingLR(q, T_max=6)))
print(
    trained(
        lambda p: o.SGD(p, lr=0.1), schedule=lambda q: s.LambdaLR(q, lr_lambda=lambda e: 0.9**e)
    )
)
print(trained(lambda p: o.SGD(p, lr=0.1), schedule=lambda q: s.MultiStepLR(q, milestones=[2, 4])))
print(
    trained(
        lambda p: o.Adam(p, lr=0.1), schedule=lambda q: s.OneCycleLR(q, max_lr=0.2, total_steps=8)
    )
)
