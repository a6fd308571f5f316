// Lists (TensorList, TensorArray) as tensors: the elements stacked on axis 0.
#pragma once
#include "formats/tensorflow/node.hpp"

namespace hone::tensorflow {

/// A pending list as a tensor of zeros whose elements have the rank of those of `like`; dimensions that are not known
/// are 1 and grow with the first write.
Value materialized(Builder& b, const PendingList& p, const Type& like);

/// A write to a list, as `list_rows` build it.
struct ListWrite {
  Value list, index, item;
};
/// The write that makes a value; null handles where it is none.
ListWrite list_write(Value v);

}  // namespace hone::tensorflow
