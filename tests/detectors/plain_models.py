"""The detectors computed a second time, as the papers write them, straight from released tensors.

This is the yardstick of the parity tests. It works on state dicts with the released names (fairseq's
for wav2vec 2.0) and uses bare tensor operations only: no module of the project or of transformers
takes part, so a wrong name, order, axis or norm there cannot hide here.
"""

import math
import re

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
HIDDEN, HEADS, LAYERS, FFN, CHANNELS = 128, 2, 3, 96, 32
POSITION_KERNEL, POSITION_GROUPS = 16, 4
SLS_WINDOW, SLS_FLAT, SLS_FC = 64_600, 67 * (HIDDEN // 3), 24
MAMBA_WINDOW, MAMBA_DIM, MAMBA_BLOCKS, D_STATE, D_CONV, EXPAND = 66_800, 32, 2, 8, 4, 2
SSL = "ssl_model.model."


# Random released state dicts


class Maker:
    """Draws tensors whose sizes keep every signal near 1, so that a tolerance of 1e-4 means something."""

    def __init__(self, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.state: State = {}

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=self.random) * scale

    def weighted(self, name: str, *shape: int, bias: bool = True) -> None:
        """A linear or convolution: weight [out, in, ...] and bias [out]."""
        self.state[f"{name}.weight"] = self.normal(*shape, scale=math.prod(shape[1:]) ** -0.5)
        if bias:
            self.state[f"{name}.bias"] = self.normal(shape[0], scale=0.1)

    def norm(self, name: str, width: int) -> None:
        self.state[f"{name}.weight"] = 1 + self.normal(width, scale=0.2)
        self.state[f"{name}.bias"] = self.normal(width, scale=0.2)

    def batch_norm(self, name: str) -> None:
        self.norm(name, 1)
        self.state[f"{name}.running_mean"] = self.normal(1, scale=0.3)
        self.state[f"{name}.running_var"] = torch.full((1,), 1.7)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(11)

    def xlsr(self) -> None:
        """fairseq's wav2vec 2.0 as it lies in the released files, pretraining leftovers included."""
        for i, kernel in enumerate(KERNELS):
            name = f"{SSL}feature_extractor.conv_layers.{i}"
            self.weighted(f"{name}.0", CHANNELS, 1 if i == 0 else CHANNELS, kernel)
            self.norm(f"{name}.2.1", CHANNELS)
        self.norm(f"{SSL}layer_norm", CHANNELS)
        self.weighted(f"{SSL}post_extract_proj", HIDDEN, CHANNELS)
        self.state[f"{SSL}mask_emb"] = self.normal(HIDDEN)
        position = f"{SSL}encoder.pos_conv.0."
        self.state[position + "bias"] = self.normal(HIDDEN, scale=0.1)
        self.state[position + "weight_g"] = 1 + self.normal(1, 1, POSITION_KERNEL, scale=0.3)
        self.state[position + "weight_v"] = self.normal(HIDDEN, HIDDEN // POSITION_GROUPS, POSITION_KERNEL)
        for i in range(LAYERS):
            layer = f"{SSL}encoder.layers.{i}"
            for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                self.weighted(f"{layer}.self_attn.{projection}", HIDDEN, HIDDEN)
            self.norm(f"{layer}.self_attn_layer_norm", HIDDEN)
            self.weighted(f"{layer}.fc1", FFN, HIDDEN)
            self.weighted(f"{layer}.fc2", HIDDEN, FFN)
            self.norm(f"{layer}.final_layer_norm", HIDDEN)
        self.norm(f"{SSL}encoder.layer_norm", HIDDEN)
        self.state[f"{SSL}quantizer.vars"] = self.normal(1, 6, 4)
        self.weighted(f"{SSL}quantizer.weight_proj", 6, CHANNELS)
        self.weighted(f"{SSL}project_q", 8, 8)
        self.weighted(f"{SSL}final_proj", 8, HIDDEN)

    def mamba(self, name: str, dim: int) -> None:
        inner, rank = EXPAND * dim, math.ceil(dim / 16)
        self.weighted(f"{name}.in_proj", 2 * inner, dim, bias=False)
        self.weighted(f"{name}.conv1d", inner, 1, D_CONV)
        self.weighted(f"{name}.x_proj", rank + 2 * D_STATE, inner, bias=False)
        self.weighted(f"{name}.dt_proj", inner, rank)
        self.state[f"{name}.A_log"] = self.normal(inner, D_STATE)
        self.state[f"{name}.D"] = self.normal(inner)
        self.weighted(f"{name}.out_proj", dim, inner, bias=False)


def sls_state(seed: int = 0) -> State:
    """A tiny random XLS-R + SLS checkpoint with the released names."""
    make = Maker(seed)
    make.xlsr()
    make.batch_norm("first_bn")
    make.weighted("fc0", 1, HIDDEN)
    make.weighted("fc1", SLS_FC, SLS_FLAT)
    make.weighted("fc3", 2, SLS_FC)
    return make.state


def fake_mamba_state(seed: int = 0, blocks: int = MAMBA_BLOCKS) -> State:
    """A tiny random Fake-Mamba checkpoint with the released names."""
    make = Maker(seed)
    make.xlsr()
    make.weighted("LL", MAMBA_DIM, HIDDEN)
    make.batch_norm("first_bn")
    for i in range(blocks):
        block = f"encoder.layers.{i}"
        make.mamba(f"{block}.mamba", MAMBA_DIM)
        make.norm(f"{block}.norm1", MAMBA_DIM)
        make.norm(f"{block}.norm2", MAMBA_DIM)
        make.weighted(f"{block}.feed_forward.0", 4 * MAMBA_DIM, MAMBA_DIM)
        make.weighted(f"{block}.feed_forward.2", MAMBA_DIM, 4 * MAMBA_DIM)
    make.weighted("attention_pool", 1, MAMBA_DIM)
    make.weighted("fc5", 2, MAMBA_DIM)
    return make.state


def parallel(state: State) -> State:
    """The names as torch's DataParallel saves them."""
    return {f"module.{name}": tensor for name, tensor in state.items()}


def speech_like(samples: int, seed: int = 0, batch: int | None = None) -> Tensor:
    """A waveform [s] or [b, s] with structure in time: a gliding tone under a slow swell, and noise."""
    random = torch.Generator().manual_seed(seed)
    rows = batch or 1
    seconds = torch.arange(samples) / 16_000
    pitch = 100 + 200 * torch.rand(rows, 1, generator=random)
    swell = 0.3 + 0.2 * torch.sin(2 * math.pi * 1.5 * seconds)
    tone = torch.sin(2 * math.pi * (pitch * seconds + 40 * seconds**2))
    waves = swell * tone + 0.05 * torch.randn(rows, samples, generator=random)
    return waves if batch else waves[0]


# The computation


def linear(state: State, name: str, x: Tensor) -> Tensor:
    y = x @ state[f"{name}.weight"].T
    return y + state[f"{name}.bias"] if f"{name}.bias" in state else y


def layer_norm(state: State, name: str, x: Tensor) -> Tensor:
    """Over the last axis, with the biased variance."""
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def selu(x: Tensor) -> Tensor:
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * torch.where(x > 0, x, alpha * torch.expm1(x))


def batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    """Over the last axis, or with one channel over everything; with the running statistics."""
    scaled = (x - state[f"{name}.running_mean"]) / torch.sqrt(state[f"{name}.running_var"] + 1e-5)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def xlsr(state: State, waveform: Tensor, prefix: str = SSL) -> tuple[list[Tensor], Tensor]:
    """waveform [b, s] -> the residual stream after each layer, and the final output, each [b, t, d]."""
    x = waveform[:, None]
    for i, stride in enumerate(STRIDES):
        name = f"{prefix}feature_extractor.conv_layers.{i}"
        x = F.conv1d(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], stride=stride)
        x = gelu(layer_norm(state, f"{name}.2.1", x.transpose(1, 2))).transpose(1, 2)
    x = linear(state, f"{prefix}post_extract_proj", layer_norm(state, f"{prefix}layer_norm", x.mT))
    x = x + position(state, f"{prefix}encoder.pos_conv.0", x)
    streams = []
    numbers = re.findall(rf"{prefix}encoder\.layers\.(\d+)\.fc1\.weight", " ".join(state))
    for i in range(len(numbers)):
        layer = f"{prefix}encoder.layers.{i}"
        z = layer_norm(state, f"{layer}.self_attn_layer_norm", x)
        x = x + attention(state, f"{layer}.self_attn", z)
        z = layer_norm(state, f"{layer}.final_layer_norm", x)
        x = x + linear(state, f"{layer}.fc2", gelu(linear(state, f"{layer}.fc1", z)))
        streams.append(x)
    return streams, layer_norm(state, f"{prefix}encoder.layer_norm", x)


def position(state: State, name: str, x: Tensor) -> Tensor:
    """The positional convolution: weight norm per kernel tap, one frame too many for an even kernel."""
    v = state[f"{name}.weight_v"]
    weight = state[f"{name}.weight_g"] * v / v.square().sum(dim=(0, 1), keepdim=True).sqrt()
    kernel = v.shape[2]
    y = F.conv1d(x.mT, weight, state[f"{name}.bias"], padding=kernel // 2, groups=POSITION_GROUPS)
    return gelu(y[..., : x.shape[1]]).mT


def attention(state: State, name: str, x: Tensor) -> Tensor:
    q, k, v = (linear(state, f"{name}.{part}_proj", x) for part in "qkv")
    width = x.shape[-1] // HEADS
    heads = []
    for h in range(HEADS):
        part = slice(h * width, (h + 1) * width)
        weights = torch.softmax(q[..., part] @ k[..., part].mT / math.sqrt(width), dim=-1)
        heads.append(weights @ v[..., part])
    return linear(state, f"{name}.out_proj", torch.cat(heads, dim=-1))


def sls(state: State, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """-> log-probabilities [b, 2], gates [b, l] and per-frame gate logits [b, l, t]."""
    streams, _ = xlsr(state, waveform)
    gates = [torch.sigmoid(linear(state, "fc0", h.mean(dim=1))) for h in streams]
    total = sum(y[..., None] * h for y, h in zip(gates, streams, strict=True))
    assert isinstance(total, Tensor)
    x = selu(batch_norm(state, "first_bn", total))
    rows, columns = x.shape[1] // 3, x.shape[2] // 3
    blocks = x[:, : rows * 3, : columns * 3].reshape(-1, rows, 3, columns, 3)
    x = blocks.amax(dim=(2, 4)).reshape(-1, rows * columns)
    x = selu(linear(state, "fc3", selu(linear(state, "fc1", x))))
    frame_logits = torch.stack([linear(state, "fc0", h)[..., 0] for h in streams], dim=1)
    return torch.log_softmax(x, dim=-1), torch.cat(gates, dim=1), frame_logits


def mamba(state: State, name: str, x: Tensor) -> Tensor:
    """Mamba v1, one frame at a time with plain loops, [b, t, dim] -> [b, t, dim]."""
    conv, bias = state[f"{name}.conv1d.weight"][:, 0], state[f"{name}.conv1d.bias"]
    A = -torch.exp(state[f"{name}.A_log"])
    inner, d_state = A.shape
    rank = state[f"{name}.dt_proj.weight"].shape[1]
    u, z = linear(state, f"{name}.in_proj", x).split(inner, dim=-1)
    h = x.new_zeros(x.shape[0], inner, d_state)
    outputs = []
    for t in range(x.shape[1]):
        seen = [u[:, t - k] * conv[:, -1 - k] for k in range(min(conv.shape[1], t + 1))]
        c = silu(torch.stack(seen).sum(dim=0) + bias)
        low, B, C = linear(state, f"{name}.x_proj", c).split([rank, d_state, d_state], dim=-1)
        dt = torch.log1p(torch.exp(linear(state, f"{name}.dt_proj", low)))
        h = torch.exp(dt[..., None] * A) * h + (dt * c)[..., None] * B[:, None]
        y = torch.einsum("bdn,bn->bd", h, C) + state[f"{name}.D"] * c
        outputs.append(linear(state, f"{name}.out_proj", y * silu(z[:, t])))
    return torch.stack(outputs, dim=1)


def two_ways(state: State, forward: str, backward: str, x: Tensor) -> Tensor:
    return mamba(state, forward, x) + mamba(state, backward, x.flip(1)).flip(1)


def pn_bimamba(state: State, name: str, x: Tensor) -> Tensor:
    z = layer_norm(state, f"{name}.norm1", x)
    z = layer_norm(state, f"{name}.norm2", two_ways(state, f"{name}.mamba", f"{name}.mamba", z))
    return linear(state, f"{name}.feed_forward.2", gelu(linear(state, f"{name}.feed_forward.0", z))) + x


def trans_bimamba(state: State, x: Tensor) -> Tensor:
    """A pre-norm Transformer block, with two mixers in the place of self-attention."""
    z = layer_norm(state, "norm1", x)
    x = x + two_ways(state, "mixer.forward_mamba", "mixer.backward_mamba", z)
    z = linear(state, "feed_forward.0", layer_norm(state, "norm2", x))
    return x + linear(state, "feed_forward.2", gelu(z))


def con_bimamba(state: State, x: Tensor) -> Tensor:
    """A Conformer block (Gulati et al., 2020), with two mixers in the place of self-attention."""

    def half_ffn(part: str, x: Tensor) -> Tensor:
        z = linear(state, f"{part}.0", layer_norm(state, f"{part}_norm", x))
        return 0.5 * linear(state, f"{part}.2", silu(z))

    x = x + half_ffn("ffn1", x)
    z = layer_norm(state, "mixer_norm", x)
    x = x + two_ways(state, "mixer.forward_mamba", "mixer.backward_mamba", z)
    z = layer_norm(state, "conv.norm", x)
    z = z @ state["conv.pointwise_in.weight"][..., 0].T + state["conv.pointwise_in.bias"]
    content, gate = z.chunk(2, dim=-1)
    z = (content * torch.sigmoid(gate)).mT
    depthwise = state["conv.depthwise.weight"]
    channels, _, kernel = depthwise.shape
    z = F.conv1d(z, depthwise, state["conv.depthwise.bias"], padding=kernel // 2, groups=channels).mT
    z = silu(batch_norm(state, "conv.batch_norm", z))
    x = x + z @ state["conv.pointwise_out.weight"][..., 0].T + state["conv.pointwise_out.bias"]
    x = x + half_ffn("ffn2", x)
    return layer_norm(state, "final_norm", x)


def fake_mamba(state: State, waveform: Tensor) -> tuple[Tensor, Tensor]:
    """-> logits [b, 2] and the attention over frames [b, t]."""
    _, final = xlsr(state, waveform)
    x = selu(batch_norm(state, "first_bn", linear(state, "LL", final)))
    for i in range(len({name.split(".")[2] for name in state if name.startswith("encoder.layers.")})):
        x = pn_bimamba(state, f"encoder.layers.{i}", x)
    weights = torch.softmax(linear(state, "attention_pool", x)[..., 0], dim=1)
    return linear(state, "fc5", (weights[..., None] * x).sum(dim=1)), weights
