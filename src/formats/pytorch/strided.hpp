// Tensors of PyTorch: element types, and views of a storage by sizes, strides and an offset.
#pragma once
#include <optional>
#include <string_view>

#include "formats/pytorch/zip.hpp"
#include "hone/tensor.hpp"

namespace hone::pytorch {

/// By the number of the export schema (`as_scalar_type`); empty where Hone lacks the type (complex).
std::optional<ElementType> scalar_type(int64_t number);
/// The number itself in words, for messages.
std::string scalar_type_name(int64_t number);

/// The elements that `sizes`, `strides` (in elements) and `offset` name of a storage. Contiguous aligned ones stay in
/// place. Throws `Error` (unreadable) where they lie outside of it.
Tensor strided_view(const Blob& storage, ElementType type, const Shape& sizes, const std::vector<int64_t>& strides,
                    int64_t offset);

}  // namespace hone::pytorch
