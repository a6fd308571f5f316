// NumPy .npy files: version 1 to 3 are read, version 1 is written.
//
// Types that NumPy lacks travel wider, exactly: bf16, f8, f4, nf4 as float32; i4, i2 as int8; u4, u2, u1 as uint8;
// strings as `<U`.
#pragma once
#include <span>
#include <string>

#include "hone/tensor.hpp"

namespace hone {

/// Reads a file; big-endian and Fortran-ordered arrays are turned into dense row-major ones. Throws `Error`
/// (unreadable, unsupported).
Tensor read_npy(const std::string& path);
/// The same from memory; `where` names the source in errors.
Tensor parse_npy(std::span<const uint8_t> bytes, const std::string& where);
/// Writes the tensor under a temporary name and renames. Throws `Error`.
void write_npy(const std::string& path, const Tensor& t);
/// The element type that a tensor of type `t` has in a .npy file.
ElementType npy_type(ElementType t);

}  // namespace hone
