"""Patches of images through a transformer's encoder."""

import ddp as torch
import ddp.nn as nn
import ddp.optim as optim

torch.manual_seed(0)


class PatchExtractor(nn.Module):
    def __init__(self, patch_size=4):
        super().__init__()
        self.patch_size = patch_size

    def forward(self, input_data):
        batch_size, _channels, height, width = input_data.size()
        num_patches = (height // self.patch_size) * (width // self.patch_size)
        patches = (
            input_data.unfold(2, self.patch_size, self.patch_size)
            .unfold(3, self.patch_size, self.patch_size)
            .permute(0, 2, 3, 1, 4, 5)
            .contiguous()
            .view(batch_size, num_patches, -1)
        )
        return patches


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = PatchExtractor()
        self.linear_proj = nn.Linear(16, 24)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 24))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, 24))
        layer = nn.TransformerEncoderLayer(
            d_model=24,
            nhead=4,
            dim_feedforward=32,
            dropout=0.1,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.transformer_encoder = nn.TransformerEncoder(
            layer, num_layers=2, enable_nested_tensor=False
        )
        self.mlp_head = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 10))

    def forward(self, x):
        x = self.linear_proj(self.patch(x))
        x = torch.cat((self.cls_token.expand(x.size(0), -1, -1), x), dim=1) + self.pos_embed
        return self.mlp_head(self.transformer_encoder(x)[:, 0])


model = ViT()
optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
x, y = torch.randn(8, 1, 16, 16), torch.randint(10, (8,))
for _i in range(4):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item())
