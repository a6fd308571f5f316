// The table of one instruction set. The including file defines HONE_ISA.
#pragma once
#include "cpu/kernels/training/batch_norm.isa.hpp"
#include "cpu/kernels/training/depthwise.isa.hpp"
#include "cpu/kernels/training/direct_convolution.isa.hpp"
#include "cpu/kernels/training/optimizer.isa.hpp"
#include "cpu/kernels/training/pooling.isa.hpp"
#include "cpu/kernels/training/same_rows.isa.hpp"
#include "cpu/kernels/training/weight_gradient.isa.hpp"
#include "cpu/kernels/training/winograd.isa.hpp"
#include "cpu/kernels/training/winograd_gradient.isa.hpp"

namespace hone::cpu::training::HONE_ISA {

constexpr TrainingIsa make_table(const char* name) {
  TrainingIsa t{};
  t.name = name;
  t.lanes = kLanes;
  t.pairs = kPairs;
  t.accumulators = kAccumulators;
  t.convolve = convolve;
  t.winograd_weights = winograd_weights;
  t.winograd = winograd;
  t.winograd_gradient = winograd_gradient;
  t.winograd_gradient_taps = winograd_gradient_taps;
  t.weight_gradient = weight_gradient;
  t.depthwise = depthwise;
  t.depthwise_gradient = depthwise_gradient;
  t.norm_statistics = norm_statistics;
  t.norm_apply = norm_apply;
  t.norm_grad_sums = norm_grad_sums;
  t.norm_grad_apply = norm_grad_apply;
  t.max_pool_grad = max_pool_grad;
  t.avg_pool_grad = avg_pool_grad;
  t.narrow = narrow;
  t.sgd = sgd;
  t.adamw = adamw;
  t.ema = ema;
  t.sum_of_squares = sum_of_squares;
  t.add_parts = add_parts;
  return t;
}

}  // namespace hone::cpu::training::HONE_ISA
