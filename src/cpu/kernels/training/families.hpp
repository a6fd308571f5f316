// The families of kernel rows that training adds; `cpu/kernels.inc` lists them.
#pragma once
#include "device/kernel.hpp"

namespace hone::cpu {

KernelList training_convolution();
KernelList training_winograd();
KernelList training_winograd_gradient();
KernelList training_weight_gradient();
KernelList training_tile_convolution();
KernelList training_tile_gradient();
KernelList training_depthwise();
KernelList training_batch_norm();
KernelList training_loss();
KernelList training_pooling();
KernelList training_optimizer();

}  // namespace hone::cpu
