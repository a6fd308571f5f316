// Networks that have files of their own.
#pragma once
#include "zoo/layers.hpp"

namespace hone::zoo {

/// MTCNN's stages: inputs [N, 3, H, W] of any size (P), 24x24 (R), 48x48 (O); results `reg`, `points` (O) and `prob`.
void mtcnn_pnet(Layers& l, Value x);
void mtcnn_rnet(Layers& l, Value x);
void mtcnn_onet(Layers& l, Value x);
/// Logits of a [N, channels, 32, 32] picture.
Value samplenet(Layers& l, Value x, int64_t classes);
/// Inputs `input` [N, 576] and `state` [2, N, 128]; results `output` [N, 1] and `stateN`.
void silero_vad(Layers& l);

}  // namespace hone::zoo
