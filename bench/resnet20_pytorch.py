"""ResNet-20 of width 16 for 28x28x1 as Hone's zoo has it, in PyTorch: what the comparisons train."""
from torch import nn
from torch.nn import functional as F


def resnet20():
    class Block(nn.Module):
        def __init__(self, i, o, stride):
            super().__init__()
            self.c1, self.b1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
            self.c2, self.b2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
            self.more = o - i

        def forward(self, x):
            y = self.b2(self.c2(F.relu(self.b1(self.c1(x)))))
            if self.more:
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
            return F.relu(y + x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.c, self.b = nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
            blocks, i = [], 16
            for o in (16, 32, 64):
                for k in range(3):
                    blocks.append(Block(i, o, 2 if k == 0 and o > 16 else 1))
                    i = o
            self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(64, 10)

        def forward(self, x):
            return self.head(self.blocks(F.relu(self.b(self.c(x)))).mean((2, 3)))
    return Net()
