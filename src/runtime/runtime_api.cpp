// include/hone/runtime.hpp on top of Session. Errors of loading become Status here; nothing throws beyond.
#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "cpu/features.hpp"
#include "hone/error.hpp"
#include "hone/runtime.hpp"
#include "program/hone_file.hpp"
#include "runtime/session.hpp"

namespace hone::runtime {
namespace {

Status failure(std::string_view text) noexcept {
  Status s;
  s.ok = false;
  std::memcpy(s.message, text.data(), std::min(text.size(), sizeof s.message - 1));
  return s;
}

Status of(const hone::Status& s) noexcept {
  return s ? Status() : failure(s.message);
}

}  // namespace

struct Model::Impl {
  std::map<std::string, std::string> metadata;
  std::shared_ptr<Session> session;
  std::unique_ptr<Request> request;
  std::string precision;
  std::vector<StepProfile> profile;

  const Program& program() const { return session->program(); }
  TensorInfo info(const std::vector<ProgramPort>& ports, size_t i) const {
    TensorInfo t;
    if (i >= ports.size()) return t;
    const ProgramTensor& x = program()[ports[i].tensor];
    t.name = ports[i].name.c_str();
    t.type = name_of(x.type);
    t.shape = x.shape.data();
    t.rank = x.shape.size();
    t.elements = 1;
    for (int64_t d : x.shape) t.elements *= static_cast<size_t>(d);
    t.bytes = static_cast<size_t>(x.bytes);
    return t;
  }
};

Model::Model() noexcept = default;
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

Status Model::load(const char* path, const LoadOptions& options) noexcept try {
  HoneFile file = read_hone(path, {.checksums = options.check, .key_file = options.key_file ? options.key_file : ""});
  auto impl = std::make_unique<Impl>();
  std::string has, last_refusal;
  for (Program& p : file.programs) {
    const auto it = p.info.find("precision");
    const std::string precision = it == p.info.end() ? "f32" : it->second;
    has += (has.empty() ? "" : ", ") + precision + " for " + p.target;
    if (options.precision && precision != options.precision) continue;
    try {
      SessionOptions s;
      s.threads = options.threads;
      s.profile = options.profile;
      impl->session = Session::create(std::make_shared<const Program>(std::move(p)), s);
    } catch (const Error& e) {
      last_refusal = e.what();
      continue;
    }
    impl->precision = precision;
    break;
  }
  if (!impl->session) {
    return failure("[load] " + std::string(path) + ": no program of the file runs on this CPU (" +
                   cpu::to_string(cpu::features()) + "); it has " + (has.empty() ? "none" : has) +
                   (last_refusal.empty() ? "" : "; " + last_refusal));
  }
  impl->metadata = std::move(file.metadata);
  impl->request = impl->session->request();
  impl_ = std::move(impl);
  return {};
} catch (const std::exception& e) {
  return failure(e.what());
}

Status Model::clone_into(Model& other) const noexcept try {
  if (!impl_) return failure("[clone] no model is loaded");
  auto impl = std::make_unique<Impl>();
  impl->metadata = impl_->metadata;
  impl->precision = impl_->precision;
  impl->session = Session::create(std::shared_ptr<const Program>(impl_->session, &impl_->program()),
                                  {.threads = impl_->session->threads()});
  impl->request = impl->session->request();
  other.impl_ = std::move(impl);
  return {};
} catch (const std::exception& e) {
  return failure(e.what());
}

size_t Model::num_inputs() const noexcept {
  return impl_ ? impl_->program().inputs.size() : 0;
}
size_t Model::num_outputs() const noexcept {
  return impl_ ? impl_->program().outputs.size() : 0;
}
TensorInfo Model::input(size_t i) const noexcept {
  return impl_ ? impl_->info(impl_->program().inputs, i) : TensorInfo();
}
TensorInfo Model::output(size_t i) const noexcept {
  return impl_ ? impl_->info(impl_->program().outputs, i) : TensorInfo();
}
int Model::input_index(const char* name) const noexcept {
  const auto i = impl_ ? impl_->session->input_index(name) : std::nullopt;
  return i ? static_cast<int>(*i) : -1;
}
int Model::output_index(const char* name) const noexcept {
  const auto i = impl_ ? impl_->session->output_index(name) : std::nullopt;
  return i ? static_cast<int>(*i) : -1;
}
void* Model::input_data(size_t i) noexcept {
  return i < num_inputs() ? impl_->request->input(i).raw() : nullptr;
}
const void* Model::output_data(size_t i) const noexcept {
  return i < num_outputs() ? impl_->request->output(i).raw() : nullptr;
}

Status Model::bind_input(size_t i, const void* data, size_t bytes) noexcept try {
  if (i >= num_inputs()) return failure("[bind] there is no input " + std::to_string(i));
  const ProgramTensor& t = impl_->program()[impl_->program().inputs[i].tensor];
  if (bytes != t.bytes || !data)
    return failure("[bind] input " + std::to_string(i) + " takes " + std::to_string(t.bytes) + " bytes");
  return of(impl_->request->set_input(i, Tensor(t.type, t.shape, const_cast<void*>(data))));
} catch (const std::exception& e) {
  return failure(e.what());
}

Status Model::bind_output(size_t i, void* data, size_t bytes) noexcept try {
  if (i >= num_outputs()) return failure("[bind] there is no output " + std::to_string(i));
  const ProgramTensor& t = impl_->program()[impl_->program().outputs[i].tensor];
  if (bytes != t.bytes || !data)
    return failure("[bind] output " + std::to_string(i) + " takes " + std::to_string(t.bytes) + " bytes");
  return of(impl_->request->set_output(i, Tensor(t.type, t.shape, data)));
} catch (const std::exception& e) {
  return failure(e.what());
}

Status Model::run() noexcept {
  return impl_ ? of(impl_->request->run()) : failure("[run] no model is loaded");
}
void Model::reset_states() noexcept {
  if (impl_) impl_->request->reset_states();
}

const char* Model::metadata(const char* key) const noexcept {
  if (!impl_) return nullptr;
  for (const auto& [k, v] : impl_->metadata) {
    if (k == key) return v.c_str();
  }
  return nullptr;
}
size_t Model::num_metadata() const noexcept {
  return impl_ ? impl_->metadata.size() : 0;
}
const char* Model::metadata_key(size_t i) const noexcept {
  return i < num_metadata() ? std::next(impl_->metadata.begin(), static_cast<std::ptrdiff_t>(i))->first.c_str()
                            : nullptr;
}
const char* Model::precision() const noexcept {
  return impl_ ? impl_->precision.c_str() : "";
}
size_t Model::memory_bytes() const noexcept {
  return impl_ ? impl_->session->memory_bytes() : 0;
}
size_t Model::num_steps() const noexcept {
  return impl_ ? impl_->program().steps.size() : 0;
}

Status Model::step(size_t i, const char** name, const char** op, const char** kernel,
                   double* microseconds) const noexcept try {
  if (i >= num_steps()) return failure("[step] there is no step " + std::to_string(i));
  if (i == 0 || impl_->profile.empty()) {
    std::vector<StepProfile> now = impl_->request->profile();
    if (impl_->profile.empty()) impl_->profile = std::move(now);
    for (size_t k = 0; k < now.size(); ++k) impl_->profile[k].microseconds = now[k].microseconds;
  }
  const ProgramStep& s = impl_->program().steps[i];
  if (name) *name = s.name.c_str();
  if (op) *op = s.op.c_str();
  const bool timed = i < impl_->profile.size();
  if (kernel) *kernel = timed ? impl_->profile[i].kernel.c_str() : s.kernel.c_str();
  if (microseconds) *microseconds = timed ? impl_->profile[i].microseconds : 0;
  return {};
} catch (const std::exception& e) {
  return failure(e.what());
}

const char* cpu_features() noexcept {
  static const std::string text = [] {
    try {
      return cpu::to_string(cpu::features());
    } catch (const std::exception&) {
      return std::string();
    }
  }();
  return text.c_str();
}

}  // namespace hone::runtime
