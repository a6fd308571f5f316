// An operator looked up by its name, with default attributes: for gradients that use families linked later.
#pragma once
#include "ops/family.hpp"
#include "ops/registry.hpp"

namespace hone {

inline Value call(Builder& b, std::string_view name, const Values& inputs) {
  const OpDef* op = find_op(name);
  if (!op) throw Error(ErrorCode::unsupported, "[gradient] the operator " + std::string(name) + " is missing");
  return b.add(*op, op->make(), inputs).output(0);
}

}  // namespace hone
