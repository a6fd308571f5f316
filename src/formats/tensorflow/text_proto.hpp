// The text form of TensorFlow's messages (.pbtxt), turned into the binary form that the reader takes.
#pragma once
#include <string>
#include <string_view>

namespace hone::tensorflow {

/// A GraphDef, MetaGraphDef or SavedModel as text, told apart by its first field; the same message in binary. Fields
/// that the reader does not look at are left out. Throws `Error` (unreadable) with the line.
std::string binary_from_text(std::string_view text);

}  // namespace hone::tensorflow
