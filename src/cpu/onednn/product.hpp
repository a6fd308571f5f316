// Nodes as products that oneDNN computes: whole for the choice and the packed weights, in bands for the threads.
#pragma once
#include <string>
#include <vector>

#include "cpu/onednn/post_ops.hpp"

namespace hone::cpu::onednn {

enum class Kind { f32, bf16, int8 };

/// A part of a node with places of its own, in bytes from where the whole begins.
struct Band {
  Product product;
  size_t source = 0, weights = 0, result = 0;
  std::vector<size_t> operands;
};

struct NodeProduct {
  std::string refusal;  ///< why this is no product for oneDNN; empty: it is one
  Band whole;
  std::vector<Band> bands;           ///< as many as there are threads, or fewer
  bool packs = false;                ///< the weights are constant and lie as the primitive of the whole node likes best
  dnnl::memory::desc given_weights;  ///< as the graph has them, in the type that is packed
  int bias = -1;                     ///< operand of the epilogue that is a constant bias, and
  float bias_factor = 1;             ///< what it is multiplied with
  double operations = 0;
};

NodeProduct convolution_of(const KernelQuery& q, Kind kind);
NodeProduct matrix_product_of(const KernelQuery& q, Kind kind);

// ---- what both are made of ----
dnnl::memory::data_type type_of(ElementType t);
/// Are the types, the quantization and the epilogue such that oneDNN may do it? Fills steps and scales of `n`;
/// `columns`: output channels. Empty: yes.
std::string settle_types(const KernelQuery& q, Kind kind, int64_t columns, NodeProduct& n);

}  // namespace hone::cpu::onednn
