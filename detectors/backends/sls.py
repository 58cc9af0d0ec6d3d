"""SLS: sensitive layer selection (Zhang, Wen, Hu, ACM MM 2024).

Each layer l of the front-end gets one gate y_l = sigmoid(fc0(mean over t of h_l)); the gated
layers are summed. The gates are independent sigmoids, not shares. As fc0 is linear,
fc0(mean_t h_l) = mean_t fc0(h_l,t), so the per-frame logits fc0(h_l,t) split each gate's logit
over time exactly: that is the layer x time map.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from detectors.config import SlsConfig
from detectors.timeline import OverTime


class SlsOutput(NamedTuple):
    """log_probs [b, 2] (0 spoof, 1 bona fide), gates [b, l] in 0..1, frame_logits [b, l, t]."""

    log_probs: Tensor
    gates: Tensor
    frame_logits: Tensor

    @property
    def cm_scores(self) -> Tensor:
        """[b], higher = bona fide."""
        return self.log_probs[:, 1]

    def maps(self, over_time: OverTime) -> dict[str, np.ndarray]:
        """layer_gates [b, l] and layer_time [l, frames], the gates' logits over time."""
        return {"layer_gates": self.gates.numpy(), "layer_time": over_time(self.frame_logits.numpy())}


class SlsHead(nn.Module):
    """Layers of the front-end, l times [b, t, d], -> SlsOutput.

    Max-pooling t x d leaves `flat` values, 22,847 = 67 * 341 in the released model, which ties the
    head to one window length.
    """

    def __init__(self, config: SlsConfig) -> None:
        super().__init__()
        self.config = config
        self.fc0 = nn.Linear(config.front_end.width, 1)
        self.first_bn = nn.BatchNorm2d(1)
        self.pool = nn.MaxPool2d((config.pool_frames, config.pool))
        self.fc1 = nn.Linear(config.flat, config.fc_hidden)
        self.fc3 = nn.Linear(config.fc_hidden, 2)

    @torch.no_grad()
    def start_simply(self) -> None:
        """Give fc1 the same weights for every stretch of time, in place.

        For training on little data: where in a window the evidence lies is chance, and independent
        weights for each place would have to learn that place by place. The shift lets SELU bend only
        what lies far below the average.
        """
        nn.init.constant_(self.first_bn.weight, 0.3)
        nn.init.constant_(self.first_bn.bias, 1.0)
        of_one = self.fc1.weight[:, : self.config.flat // self.config.slots]
        self.fc1.weight.copy_(of_one.repeat(1, self.config.slots) / self.config.slots**0.5)

    def forward(self, layers: list[Tensor]) -> SlsOutput:
        frame_logits = torch.stack([self.fc0(h).squeeze(-1) for h in layers], dim=1)  # [b, l, t]
        gates = frame_logits.mean(dim=2).sigmoid()  # [b, l]
        x = self.pool(self.gated_sum(layers, gates)[:, None])  # [b, 1, slots, d / pool]
        x = nn.functional.selu(self.fc1(x.flatten(1)))
        x = nn.functional.selu(self.fc3(x))
        return SlsOutput(log_probs_of_two(x), gates, frame_logits)

    def gated_sum(self, layers: list[Tensor], gates: Tensor) -> Tensor:
        """l times [b, t, d] and [b, l] -> [b, t, d], normalised and bent by SELU."""
        x = torch.stack([gates[:, i, None, None] * h for i, h in enumerate(layers)]).sum(dim=0)
        return nn.functional.selu(self.first_bn(x[:, None])).squeeze(1)


def log_probs_of_two(logits: Tensor) -> Tensor:
    """log_softmax of two classes, [b, 2] -> float32 [b, 2].

    torch's own loses the digits of what is nearly 0, and calls -1e-9 and -1e-12 the same.
    """
    apart = (logits[:, 1] - logits[:, 0]).float()
    return torch.stack([nn.functional.logsigmoid(-apart), nn.functional.logsigmoid(apart)], dim=1)
