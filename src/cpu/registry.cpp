#include "cpu/registry.hpp"

#include <mutex>
#include <string>
#include <unordered_map>

namespace hone::cpu {

#define HONE_KERNELS(family) KernelList family();
#include "cpu/kernels.inc"
#undef HONE_KERNELS

namespace {

struct Registry {
  std::mutex mutex;
  std::vector<KernelList> lists;
  std::unordered_map<std::string, std::vector<const Kernel*>> by_op;
  std::vector<const Kernel*> all;

  void add(KernelList rows) {
    for (const KernelList& seen : lists) {
      if (seen.data() == rows.data()) return;
    }
    lists.push_back(rows);
    for (const Kernel& k : rows) {
      by_op[k.op].push_back(&k);
      all.push_back(&k);
    }
  }
  Registry() {
#define HONE_KERNELS(family) add(family());
#include "cpu/kernels.inc"
#undef HONE_KERNELS
  }
};

Registry& registry() {
  static Registry r;
  return r;
}

}  // namespace

std::vector<const Kernel*> kernels_for(std::string_view op) {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  auto it = r.by_op.find(std::string(op));
  return it == r.by_op.end() ? std::vector<const Kernel*>{} : it->second;
}

std::vector<const Kernel*> all_kernels() {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  return r.all;
}

void add_kernels(KernelList rows) {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  r.add(rows);
}

}  // namespace hone::cpu
