#!/usr/bin/env python3
"""Networks of transformers and diffusers, exported by torch.export and torch.onnx, give PyTorch's outputs in Hone.

    transformers_networks.py --hone build/release/bin/hone [--only bert,llama] [--forms pt2,core,onnx,torchscript]

Small networks with random weights and the structure of the real ones; nothing is downloaded. Batch, sequence and picture sizes are open, decoders have
their cache as inputs and outputs, and each file is run with sizes other than those of its export. Needs torch and transformers (the diffusion networks:
diffusers); without them the script says so and ends with code 77 (skipped).
"""
import argparse
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import warnings

try:
    import numpy as np
    import torch
    import transformers as T
    from torch import nn
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)


class Case:
    """A module, its inputs by sizes, the sizes (the first is exported), the open dimensions of each input."""

    def __init__(self, module, make, sizes, dyn):
        self.module, self.make, self.sizes, self.dyn = module, make, sizes, dyn


def named(names, fn, module):
    """A module whose forward has these parameters and calls fn(module, {name: value})."""
    scope = {}
    exec(f"def forward(self, {', '.join(names)}):\n    return self.fn(self.m, {{{', '.join(f'{n!r}: {n}' for n in names)}}})\n", scope)
    w = type("Wrapped", (nn.Module,), {"forward": scope["forward"]})()
    w.m = module
    w.__dict__["fn"] = fn
    return w.eval()


def diffusers():
    import diffusers as d

    return d


def randomize(m):
    """Weights whose outputs neither vanish nor explode."""
    g = torch.Generator().manual_seed(1)
    for n, p in m.named_parameters():
        if p.dim() <= 1:
            if "weight" in n or "gamma" in n or "scale" in n:
                p.data.add_(torch.randn(p.shape, generator=g) * 0.1)
            else:
                p.data.add_(torch.randn(p.shape, generator=g) * 0.05)
        else:
            fan = p.shape[1] if p.dim() == 2 else p[0].numel()
            p.data.copy_(torch.randn(p.shape, generator=g) * min(0.4, 1.0 / math.sqrt(fan)) * 1.2)
    for n, b in m.named_buffers():
        if "running_mean" in n: b.data.copy_(torch.randn(b.shape, generator=g) * 0.1)
        if "running_var" in n: b.data.copy_(torch.rand(b.shape, generator=g) + 0.5)
    return m.eval()

def ids(vocab, *shape, seed=0):
    return torch.randint(5, vocab - 1, shape, generator=torch.Generator().manual_seed(seed))
def rnd(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
def mask(b, s):
    m = torch.ones(b, s, dtype=torch.int64)
    if b > 1: m[-1, s - s // 3:] = 0
    return m

BS = [dict(b=2, s=16), dict(b=1, s=7), dict(b=3, s=33)]
F = {}
def fam(f):
    F[f.__name__] = f
    return f

def encoder(model, vocab, types=False, outs=None, out_fn=None):
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if types else [])
    def fn(m, i):
        o = m(**i)
        if out_fn: return out_fn(o, i)
        return tuple(v for v in o.to_tuple() if isinstance(v, torch.Tensor))
    def make(b, s):
        r = {"input_ids": ids(vocab, b, s), "attention_mask": mask(b, s)}
        if types:
            t = torch.zeros(b, s, dtype=torch.int64); t[:, s // 2:] = 1
            r["token_type_ids"] = t
        return r
    return Case(named(names, fn, randomize(model)), make, BS, {n: {0: "b", 1: "s"} for n in names})


@fam
def bert(attn="sdpa"):
    c = T.BertConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, max_position_embeddings=128, attn_implementation=attn)
    return encoder(T.BertModel(c), 2000, True)
@fam
def bert_eager(): return bert("eager")
@fam
def bert_classify():
    c = T.BertConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, max_position_embeddings=128, num_labels=5)
    return encoder(T.BertForSequenceClassification(c), 2000, True)
@fam
def distilbert():
    c = T.DistilBertConfig(vocab_size=2000, dim=128, n_layers=2, n_heads=4, hidden_dim=256, max_position_embeddings=128)
    return encoder(T.DistilBertForSequenceClassification(c), 2000)
@fam
def roberta():
    c = T.RobertaConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, max_position_embeddings=130)
    return encoder(T.RobertaForMaskedLM(c), 2000)
@fam
def albert():
    c = T.AlbertConfig(vocab_size=2000, embedding_size=64, hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=256, max_position_embeddings=128)
    return encoder(T.AlbertModel(c), 2000, True)
@fam
def electra():
    c = T.ElectraConfig(vocab_size=2000, embedding_size=64, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, max_position_embeddings=128)
    return encoder(T.ElectraForTokenClassification(c), 2000, True)
@fam
def deberta_v2():
    c = T.DebertaV2Config(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, max_position_embeddings=128, relative_attention=True,
        position_buckets=32, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0)
    return encoder(T.DebertaV2Model(c), 2000)
@fam
def sentence():
    c = T.BertConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, max_position_embeddings=128)
    def pool(o, i):
        m = i["attention_mask"].unsqueeze(-1).expand(o.last_hidden_state.size()).float()
        e = torch.sum(o.last_hidden_state * m, 1) / torch.clamp(m.sum(1), min=1e-9)
        return (nn.functional.normalize(e, p=2, dim=1),)
    return encoder(T.BertModel(c, add_pooling_layer=False), 2000, True, out_fn=pool)
@fam
def modernbert():
    c = T.ModernBertConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=192, max_position_embeddings=128, local_attention=16,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2)
    return encoder(T.ModernBertModel(c), 2000)

# ---- decoders
DEC = [dict(b=2, s=5, p=9), dict(b=1, s=1, p=21), dict(b=3, s=11, p=1)]
def decoder(model, vocab, layers, kvh, hd, plain=False):
    """With the cache in and out, left padding in the mask."""
    model = randomize(model)
    if plain:
        names = ["input_ids", "attention_mask"]
        def fn(m, i): return (m(**i, use_cache=False).logits,)
        def make(b, s):
            a = torch.ones(b, s, dtype=torch.int64)
            if b > 1: a[-1, : s // 3] = 0
            return {"input_ids": ids(vocab, b, s), "attention_mask": a}
        return Case(named(names, fn, model), make, BS, {n: {0: "b", 1: "s"} for n in names})
    kv = [f"past_{i}_{x}" for i in range(layers) for x in ("key", "value")]
    names = ["input_ids", "attention_mask", "position_ids"] + kv
    def fn(m, i):
        cache = T.DynamicCache()
        for l in range(layers):
            cache.update(i[f"past_{l}_key"], i[f"past_{l}_value"], l)
        o = m(input_ids=i["input_ids"], attention_mask=i["attention_mask"], past_key_values=cache, use_cache=True, position_ids=i["position_ids"])
        r = [o.logits]
        for l in range(layers):
            r += [cache.layers[l].keys, cache.layers[l].values]
        return tuple(r)
    def make(b, s, p):
        a = torch.ones(b, s + p, dtype=torch.int64)
        if b > 1: a[-1, : p // 2] = 0
        pos = (a.cumsum(-1) - 1).clamp(min=0)[:, p:]
        r = {"input_ids": ids(vocab, b, s), "attention_mask": a, "position_ids": pos}
        for j, n in enumerate(kv): r[n] = rnd(b, kvh, p, hd, seed=j + 3) * 0.5
        return r
    dyn = {"input_ids": {0: "b", 1: "s"}, "attention_mask": {0: "b", 1: "s+p"}, "position_ids": {0: "b", 1: "s"}}
    for n in kv: dyn[n] = {0: "b", 2: "p"}
    return Case(named(names, fn, model), make, DEC, dyn)

def _gpt2(attn="sdpa", plain=False):
    c = T.GPT2Config(vocab_size=2000, n_embd=128, n_layer=2, n_head=4, n_positions=128, attn_implementation=attn)
    return decoder(T.GPT2LMHeadModel(c), 2000, 2, 4, 32, plain)
@fam
def gpt2(): return _gpt2()
@fam
def gpt2_plain(): return _gpt2(plain=True)
@fam
def gpt2_eager(): return _gpt2("eager", True)
def llamaish(cls, cfg, plain=False, **kw):
    base = dict(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=256, max_position_embeddings=256)
    base.update(kw)
    c = cfg(**base)
    hd = getattr(c, "head_dim", None) or base["hidden_size"] // base["num_attention_heads"]
    return decoder(cls(c), 2000, base["num_hidden_layers"], base["num_key_value_heads"], hd, plain)
@fam
def llama(): return llamaish(T.LlamaForCausalLM, T.LlamaConfig)
@fam
def llama_plain(): return llamaish(T.LlamaForCausalLM, T.LlamaConfig, True)
@fam
def llama_eager(): return llamaish(T.LlamaForCausalLM, T.LlamaConfig, attn_implementation="eager")
@fam
def llama3(): return llamaish(T.LlamaForCausalLM, T.LlamaConfig, rope_parameters={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0})
@fam
def qwen2(): return llamaish(T.Qwen2ForCausalLM, T.Qwen2Config, tie_word_embeddings=True)
@fam
def qwen3(): return llamaish(T.Qwen3ForCausalLM, T.Qwen3Config, head_dim=48)
@fam
def mistral(): return llamaish(T.MistralForCausalLM, T.MistralConfig, sliding_window=512)
@fam
def mistral_window(): return llamaish(T.MistralForCausalLM, T.MistralConfig, True, sliding_window=8)
@fam
def phi3(): return llamaish(T.Phi3ForCausalLM, T.Phi3Config, pad_token_id=0)
@fam
def gemma2(): return llamaish(T.Gemma2ForCausalLM, T.Gemma2Config, head_dim=32, attn_implementation="eager", sliding_window=512, query_pre_attn_scalar=32, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)
@fam
def gemma2_window(): return llamaish(T.Gemma2ForCausalLM, T.Gemma2Config, True, head_dim=32, attn_implementation="eager", sliding_window=8, query_pre_attn_scalar=32, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)
@fam
def gemma3(): return llamaish(T.Gemma3ForCausalLM, T.Gemma3TextConfig, head_dim=32, sliding_window=512, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"])
@fam
def gemma3_window(): return llamaish(T.Gemma3ForCausalLM, T.Gemma3TextConfig, True, head_dim=32, sliding_window=8, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"])
@fam
def mixtral(): return llamaish(T.MixtralForCausalLM, T.MixtralConfig, num_local_experts=4, num_experts_per_tok=2)
@fam
def qwen2_moe(): return llamaish(T.Qwen2MoeForCausalLM, T.Qwen2MoeConfig, True, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64, shared_expert_intermediate_size=96)
@fam
def olmo2(): return llamaish(T.Olmo2ForCausalLM, T.Olmo2Config, pad_token_id=0)
@fam
def smollm3(): return llamaish(T.SmolLM3ForCausalLM, T.SmolLM3Config, pad_token_id=0)
@fam
def gpt_neox(): return llamaish(T.GPTNeoXForCausalLM, T.GPTNeoXConfig, num_key_value_heads=4)
@fam
def phi(): return llamaish(T.PhiForCausalLM, T.PhiConfig)
@fam
def falcon():
    c = T.FalconConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, multi_query=True, new_decoder_architecture=False)
    return decoder(T.FalconForCausalLM(c), 2000, 2, 1, 32)
@fam
def bloom():
    c = T.BloomConfig(vocab_size=2000, hidden_size=128, n_layer=2, n_head=4)
    return decoder(T.BloomForCausalLM(c), 2000, 2, 4, 32, True)
@fam
def opt():
    c = T.OPTConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, ffn_dim=256, max_position_embeddings=128, word_embed_proj_dim=64)
    return decoder(T.OPTForCausalLM(c), 2000, 2, 4, 32)
@fam
def mamba():
    c = T.MambaConfig(vocab_size=2000, hidden_size=64, num_hidden_layers=2, state_size=8, use_mambapy=False)
    m = randomize(T.MambaForCausalLM(c))
    return Case(named(["input_ids"], lambda m, i: (m(input_ids=i["input_ids"], use_cache=False).logits,), m), lambda b, s: {"input_ids": ids(2000, b, s)}, BS, {"input_ids": {0: "b", 1: "s"}})

# ---- encoder/decoder
from transformers.modeling_outputs import BaseModelOutput


def seq2seq_encoder(m, vocab):
    names = ["input_ids", "attention_mask"]
    enc = m.get_encoder()
    return Case(named(names, lambda e, i: (e(**i).last_hidden_state,), enc), lambda b, s: {"input_ids": ids(vocab, b, s), "attention_mask": mask(b, s)}, BS, {n: {0: "b", 1: "s"} for n in names})
S2S = [dict(b=2, s=3, p=9, e=13), dict(b=1, s=1, p=21, e=7), dict(b=3, s=4, p=1, e=19)]
def seq2seq_decoder(model, vocab, layers, heads, hd, d, mask_in=True):
    """Decoder step with self-attention cache, cross-attention computed from the encoder's states."""
    kv = [f"past_{i}_{x}" for i in range(layers) for x in ("key", "value")]
    names = ["decoder_input_ids", "encoder_hidden_states"] + (["encoder_attention_mask"] if mask_in else []) + kv
    def fn(m, i):
        self_c, cross_c = T.DynamicCache(), T.DynamicCache()
        for l in range(layers): self_c.update(i[f"past_{l}_key"], i[f"past_{l}_value"], l)
        cache = T.EncoderDecoderCache(self_c, cross_c)
        kw = {"attention_mask": i["encoder_attention_mask"]} if mask_in else {}
        o = m(encoder_outputs=BaseModelOutput(last_hidden_state=i["encoder_hidden_states"]), decoder_input_ids=i["decoder_input_ids"], past_key_values=cache, use_cache=True, **kw)
        r = [o.logits]
        for l in range(layers): r += [self_c.layers[l].keys, self_c.layers[l].values]
        return tuple(r)
    def make(b, s, p, e):
        r = {"decoder_input_ids": ids(vocab, b, s), "encoder_hidden_states": rnd(b, e, d, seed=1)}
        if mask_in: r["encoder_attention_mask"] = mask(b, e)
        for j, n in enumerate(kv): r[n] = rnd(b, heads, p, hd, seed=j + 3) * 0.5
        return r
    dyn = {"decoder_input_ids": {0: "b", 1: "s"}, "encoder_hidden_states": {0: "b", 1: "e"}, "encoder_attention_mask": {0: "b", 1: "e"}}
    if not mask_in: dyn.pop("encoder_attention_mask")
    for n in kv: dyn[n] = {0: "b", 2: "p"}
    return Case(named(names, fn, model), make, S2S, dyn)
def _t5():
    c = T.T5Config(vocab_size=2000, d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu", decoder_start_token_id=0)
    return randomize(T.T5ForConditionalGeneration(c))
@fam
def t5_encoder(): return seq2seq_encoder(_t5(), 2000)
@fam
def t5_decoder(): return seq2seq_decoder(_t5(), 2000, 2, 4, 32, 128)
@fam
def t5_full():
    m = _t5()
    names = ["input_ids", "attention_mask", "decoder_input_ids"]
    return Case(named(names, lambda m, i: (m(**i, use_cache=False).logits,), m), lambda b, s: {"input_ids": ids(2000, b, s), "attention_mask": mask(b, s), "decoder_input_ids": ids(2000, b, s, seed=4)},
        BS, {n: {0: "b", 1: "s"} for n in names})
def _bart():
    c = T.BartConfig(vocab_size=2000, d_model=128, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=256, decoder_ffn_dim=256, max_position_embeddings=128)
    return randomize(T.BartForConditionalGeneration(c))
@fam
def bart_encoder(): return seq2seq_encoder(_bart(), 2000)
@fam
def bart_decoder(): return seq2seq_decoder(_bart(), 2000, 2, 4, 32, 128)
def _whisper():
    c = T.WhisperConfig(vocab_size=2000, num_mel_bins=80, d_model=128, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=256, decoder_ffn_dim=256,
        max_source_positions=100, max_target_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None)
    return randomize(T.WhisperForConditionalGeneration(c))
@fam
def whisper_encoder():
    m = _whisper().get_encoder()
    return Case(named(["input_features"], lambda m, i: (m(**i).last_hidden_state,), m), lambda b: {"input_features": rnd(b, 80, 200)}, [dict(b=2), dict(b=1), dict(b=3)], {"input_features": {0: "b"}})
@fam
def whisper_decoder(): return seq2seq_decoder(_whisper(), 2000, 2, 4, 32, 128, mask_in=False)

# ---- vision
def pictures(model, size, outs, ch=3, dynhw=False, sizes=None):
    fn = lambda m, i: tuple(t for t in outs(m(**i)))
    sizes = sizes or [dict(b=2), dict(b=1), dict(b=3)]
    make = lambda b, h=size, w=size: {"pixel_values": rnd(b, ch, h, w)}
    dyn = {0: "b"}
    if dynhw: dyn = {0: "b", 2: "h", 3: "w"}
    return Case(named(["pixel_values"], fn, randomize(model)), make, sizes, {"pixel_values": dyn})
@fam
def vit():
    c = T.ViTConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, image_size=64, patch_size=16, num_labels=10)
    return pictures(T.ViTForImageClassification(c), 64, lambda o: [o.logits])
@fam
def deit():
    c = T.DeiTConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, image_size=64, patch_size=16, num_labels=10)
    return pictures(T.DeiTForImageClassificationWithTeacher(c), 64, lambda o: [o.logits])
@fam
def dinov2():
    c = T.Dinov2Config(hidden_size=128, num_hidden_layers=2, num_attention_heads=4, image_size=70, patch_size=14, mlp_ratio=2)
    return pictures(T.Dinov2Model(c), 56, lambda o: [o.last_hidden_state, o.pooler_output], dynhw=True, sizes=[dict(b=2), dict(b=1, h=70, w=42), dict(b=3, h=28, w=84)])
@fam
def swin():
    c = T.SwinConfig(image_size=64, patch_size=4, embed_dim=32, depths=[2, 2], num_heads=[2, 4], window_size=4)
    return pictures(T.SwinModel(c), 64, lambda o: [o.last_hidden_state, o.pooler_output])
@fam
def convnext():
    c = T.ConvNextConfig(hidden_sizes=[32, 48, 64, 96], depths=[1, 1, 2, 1], num_labels=10)
    return pictures(T.ConvNextForImageClassification(c), 64, lambda o: [o.logits], dynhw=True, sizes=[dict(b=2), dict(b=1, h=96, w=64), dict(b=3, h=64, w=128)])
@fam
def segformer():
    c = T.SegformerConfig(depths=[1, 1, 1, 1], hidden_sizes=[32, 48, 64, 96], num_attention_heads=[1, 2, 2, 4], decoder_hidden_size=64, num_labels=7)
    return pictures(T.SegformerForSemanticSegmentation(c), 64, lambda o: [o.logits], dynhw=True, sizes=[dict(b=2), dict(b=1, h=96, w=64), dict(b=3, h=64, w=128)])
@fam
def detr():
    c = T.DetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=T.ResNetConfig(embedding_size=16, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]),
        d_model=64, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, num_queries=12, num_labels=5)
    return pictures(T.DetrForObjectDetection(c), 96, lambda o: [o.logits, o.pred_boxes])
@fam
def yolos():
    c = T.YolosConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=[64, 96], patch_size=16, num_detection_tokens=8, num_labels=5)
    return pictures(T.YolosForObjectDetection(c), 64, lambda o: [o.logits, o.pred_boxes])
@fam
def resnet_hf():
    c = T.ResNetConfig(embedding_size=16, hidden_sizes=[32, 48, 64, 96], depths=[1, 1, 1, 1], num_labels=10)
    return pictures(T.ResNetForImageClassification(c), 64, lambda o: [o.logits], dynhw=True, sizes=[dict(b=2), dict(b=1, h=96, w=64), dict(b=3, h=64, w=128)])
@fam
def mobilevit():
    c = T.MobileViTConfig(image_size=64, hidden_sizes=[32, 48, 64], neck_hidden_sizes=[8, 16, 24, 32, 40, 48, 96], num_labels=10)
    return pictures(T.MobileViTForImageClassification(c), 64, lambda o: [o.logits])
@fam
def depth_anything():
    c = T.DepthAnythingConfig(backbone_config=T.Dinov2Config(hidden_size=64, num_hidden_layers=4, num_attention_heads=4, image_size=56, patch_size=14, mlp_ratio=2, out_indices=[1, 2, 3, 4], reshape_hidden_states=False, apply_layernorm=True),
        reassemble_hidden_size=64, neck_hidden_sizes=[16, 24, 32, 48], fusion_hidden_size=24, head_hidden_size=16, patch_size=14)
    return pictures(T.DepthAnythingForDepthEstimation(c), 56, lambda o: [o.predicted_depth])
@fam
def sam_vision():
    c = T.SamVisionConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=128, patch_size=16, output_channels=32, window_size=3, global_attn_indexes=[1], mlp_dim=128)
    from transformers.models.sam.modeling_sam import SamVisionEncoder
    return pictures(SamVisionEncoder(c), 128, lambda o: [o.last_hidden_state])
def textvision(m, vocab, size, s):
    names = ["input_ids", "attention_mask", "pixel_values"]
    def fn(m, i):
        o = m(**i)
        return o.logits_per_image, o.text_embeds, o.image_embeds
    def make(b, n, s=s):
        i = ids(vocab, b, s); i[:, -2:] = vocab - 1
        return {"input_ids": i, "attention_mask": mask(b, s), "pixel_values": rnd(n, 3, size, size)}
    return Case(named(names, fn, randomize(m)), make, [dict(b=2, n=3), dict(b=1, n=1), dict(b=4, n=2)], {"input_ids": {0: "b"}, "attention_mask": {0: "b"}, "pixel_values": {0: "n"}})
def _clip():
    return T.CLIPConfig(text_config=dict(vocab_size=2000, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32, projection_dim=64, eos_token_id=1999, bos_token_id=1998, pad_token_id=0),
        vision_config=dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, image_size=64, patch_size=16, projection_dim=64), projection_dim=64)
@fam
def clip(): return textvision(T.CLIPModel(_clip()), 2000, 64, 16)
@fam
def clip_text():
    m = randomize(T.CLIPTextModel(_clip().text_config))
    return Case(named(["input_ids"], lambda m, i: tuple(m(**i).to_tuple()[:2]), m), lambda b, s: {"input_ids": torch.cat([ids(1990, b, s - 1), torch.full((b, 1), 1999)], 1)}, [dict(b=2, s=16), dict(b=1, s=7), dict(b=3, s=31)], {"input_ids": {0: "b", 1: "s"}})
@fam
def clip_vision():
    c = _clip().vision_config
    return pictures(T.CLIPVisionModelWithProjection(c), 64, lambda o: [o.image_embeds, o.last_hidden_state])
@fam
def siglip():
    c = T.SiglipConfig(text_config=dict(vocab_size=2000, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=16, projection_size=128, pad_token_id=1, bos_token_id=2, eos_token_id=3),
        vision_config=dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, image_size=64, patch_size=16))
    return textvision(T.SiglipModel(c), 2000, 64, 16)
# ---- audio
@fam
def wav2vec2():
    c = T.Wav2Vec2Config(vocab_size=40, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, conv_dim=(32, 32, 32, 32, 32, 32, 32), num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
    m = randomize(T.Wav2Vec2ForCTC(c))
    return Case(named(["input_values"], lambda m, i: (m(**i).logits,), m), lambda b, s: {"input_values": rnd(b, s)}, [dict(b=2, s=4000), dict(b=1, s=5200), dict(b=3, s=8001)], {"input_values": {0: "b", 1: "s"}})
@fam
def hubert():
    c = T.HubertConfig(vocab_size=40, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, conv_dim=(32, 32, 32, 32, 32, 32, 32), num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, feat_extract_norm="layer", do_stable_layer_norm=True)
    m = randomize(T.HubertForCTC(c))
    return Case(named(["input_values"], lambda m, i: (m(**i).logits,), m), lambda b, s: {"input_values": rnd(b, s)}, [dict(b=2, s=4000), dict(b=1, s=5200), dict(b=3, s=8001)], {"input_values": {0: "b", 1: "s"}})
@fam
def ast():
    c = T.ASTConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, max_length=64, num_mel_bins=32, num_labels=6)
    m = randomize(T.ASTForAudioClassification(c))
    return Case(named(["input_values"], lambda m, i: (m(**i).logits,), m), lambda b: {"input_values": rnd(b, 64, 32)}, [dict(b=2), dict(b=1), dict(b=3)], {"input_values": {0: "b"}})

# ---- diffusers
@fam
def sd_unet():
    m = diffusers().UNet2DConditionModel(sample_size=16, in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=64, attention_head_dim=8, norm_num_groups=8)
    names = ["sample", "timestep", "encoder_hidden_states"]
    return Case(named(names, lambda m, i: (m(i["sample"], i["timestep"], i["encoder_hidden_states"], return_dict=False)[0],), randomize(m)),
        lambda b, h, w, s: {"sample": rnd(b, 4, h, w), "timestep": torch.full((b,), 501, dtype=torch.int64), "encoder_hidden_states": rnd(b, s, 64, seed=2)},
        [dict(b=2, h=16, w=16, s=11), dict(b=1, h=24, w=16, s=7), dict(b=3, h=8, w=32, s=20)], {"sample": {0: "b", 2: "h", 3: "w"}, "timestep": {0: "b"}, "encoder_hidden_states": {0: "b", 1: "s"}})
def _vae():
    return randomize(diffusers().AutoencoderKL(in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"), up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"), block_out_channels=(16, 32), layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=32))
VS = [dict(b=2, h=16, w=16), dict(b=1, h=24, w=16), dict(b=3, h=8, w=32)]
@fam
def vae_decoder():
    return Case(named(["latent"], lambda m, i: (m.decode(i["latent"], return_dict=False)[0],), _vae()), lambda b, h, w: {"latent": rnd(b, 4, h, w)}, VS, {"latent": {0: "b", 2: "h", 3: "w"}})
@fam
def vae_encoder():
    return Case(named(["sample"], lambda m, i: (m.encode(i["sample"]).latent_dist.parameters,), _vae()), lambda b, h, w: {"sample": rnd(b, 3, 2 * h, 2 * w)}, [dict(b=2, h=16, w=16), dict(b=1, h=24, w=16), dict(b=3, h=8, w=32)], {"sample": {0: "b", 2: "H", 3: "W"}})
@fam
def flux_tiny():
    m = diffusers().FluxTransformer2DModel(patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=32, num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=24, guidance_embeds=False, axes_dims_rope=(8, 12, 12))
    names = ["hidden_states", "encoder_hidden_states", "pooled_projections", "timestep", "img_ids", "txt_ids"]
    return Case(named(names, lambda m, i: (m(**i, return_dict=False)[0],), randomize(m)),
        lambda b, s, t: {"hidden_states": rnd(b, s, 16), "encoder_hidden_states": rnd(b, t, 32, seed=1), "pooled_projections": rnd(b, 24, seed=2), "timestep": torch.full((b,), 0.5), "img_ids": (rnd(s, 3).abs() * 10).floor(), "txt_ids": torch.zeros(t, 3)},
        [dict(b=2, s=16, t=6), dict(b=1, s=25, t=9), dict(b=3, s=8, t=4)], {"hidden_states": {0: "b", 1: "s"}, "encoder_hidden_states": {0: "b", 1: "t"}, "pooled_projections": {0: "b"}, "timestep": {0: "b"}, "img_ids": {0: "s"}, "txt_ids": {0: "t"}})


def run_hone(hone, model, inputs, folder):
    args = [hone, "run", model, "--output-dir", folder]
    for name, t in inputs.items():
        file = os.path.join(folder, f"in_{name}.npy")
        np.save(file, t.numpy())
        args += ["--input", f"{name}={file}"]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[-300:])
    with open(os.path.join(folder, "outputs.json")) as f:
        return [np.load(os.path.join(folder, o["file"])) for o in json.load(f)["outputs"]]


def worst(expected, given):
    if len(expected) != len(given):
        raise RuntimeError(f"{len(given)} outputs instead of {len(expected)}")
    error = 0.0
    for e, g in zip((t.numpy().astype(np.float64) for t in expected), given):
        if e.shape != g.shape:
            raise RuntimeError(f"shape {g.shape} instead of {e.shape}")
        error = max(error, float(np.abs(e - g).max()) / max(1e-6, float(np.abs(e).max())))
    return error


def export(case, form, file):
    example = case.make(**case.sizes[0])
    names = list(example)
    dims = {n: {a: torch.export.Dim.AUTO for a in case.dyn[n]} for n in names}
    if form == "torchscript":
        axes = {n: dict(case.dyn[n]) for n in names if case.dyn[n]}
        torch.onnx.export(case.module, tuple(example.values()), file, dynamo=False, input_names=names, opset_version=17, dynamic_axes=axes)
    elif form == "onnx":
        torch.onnx.export(case.module, tuple(example.values()), file, dynamo=True, input_names=names, dynamic_shapes=dims, external_data=False, verbose=False)
    else:
        program = torch.export.export(case.module, tuple(example.values()), dynamic_shapes=dims)
        torch.export.save(program.run_decompositions() if form == "core" else program, file)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--hone", default="build/release/bin/hone")
    p.add_argument("--only", default="")
    p.add_argument("--forms", default="pt2,torchscript")
    a = p.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    failed = 0
    for name, make in F.items():
        if a.only and name not in a.only.split(","):
            continue
        try:
            torch.manual_seed(0)
            case = make()
        except ImportError as e:
            print(f"{name:16} skipped: {e}")
            continue
        for form in a.forms.split(","):
            with tempfile.TemporaryDirectory() as folder, torch.no_grad():
                file = os.path.join(folder, "net.onnx" if form in ("onnx", "torchscript") else "net.pt2")
                try:
                    export(case, form, file)
                except Exception as e:
                    print(f"{name:16} {form:12} not exported: {type(e).__name__}: {str(e)[:120]!r}")
                    continue
                sizes = case.sizes[:1] if name in FIXED else case.sizes
                try:
                    error = max(worst(case.module(*i.values()), run_hone(a.hone, file, i, folder)) for i in (case.make(**s) for s in sizes))
                    failed += error > 1e-4
                    print(f"{name:16} {form:12} {error:.1e} {'FAILED' if error > 1e-4 else 'ok'}", flush=True)
                except RuntimeError as e:
                    failed += 1
                    print(f"{name:16} {form:12} FAILED: {e}", flush=True)
    sys.exit(1 if failed else 0)


# Exported for the sizes of the example alone: PyTorch unrolls the recurrence.
FIXED = {"mamba"}

if __name__ == "__main__":
    main()
