"""Nodes of a graph classified by their neighbours."""

import ddp as torch
import ddp.nn.functional as F
from ddp import nn

torch.manual_seed(42)


class GraphConv(nn.Module):
    def __init__(self, input_dim, output_dim, use_bias=False):
        super().__init__()
        self.kernel = nn.Parameter(torch.Tensor(input_dim, output_dim))
        nn.init.xavier_normal_(self.kernel)
        self.bias = None
        if use_bias:
            self.bias = nn.Parameter(torch.Tensor(output_dim))
            nn.init.zeros_(self.bias)

    def forward(self, input_tensor, adj_mat):
        support = torch.mm(input_tensor, self.kernel)
        output = torch.mm(adj_mat, support)
        if self.bias is not None:
            output = output + self.bias
        return output


a = (torch.rand(12, 12) > 0.6).float()
a = a.logical_or(a.T).float() + torch.eye(12)
d = torch.diag(torch.pow(a.sum(dim=1), -0.5))
adj = d @ a @ d
x, y = torch.randn(12, 6), torch.randint(3, (12,))
idx = torch.randperm(12)
train = idx[:8]
c1, c2 = GraphConv(6, 16, True), GraphConv(16, 3)
opt = torch.optim.Adam(list(c1.parameters()) + list(c2.parameters()), lr=0.01, weight_decay=5e-4)
for _e in range(4):
    opt.zero_grad()
    out = F.log_softmax(c2(F.dropout(F.relu(c1(x, adj)), 0.5, training=True), adj), dim=1)
    loss = F.nll_loss(out[train], y[train])
    loss.backward()
    opt.step()
    acc = (out[train].argmax(dim=1) == y[train]).float().mean()
    print(f"{loss.item():.4f} {acc:.4f}")
