#include <cstring>
#include <list>
#include <new>

#include "hone/core.hpp"
#include "hone/hone.h"

using hone::Error;
using hone::ErrorCode;

struct hone_model {
  hone::CompiledModel compiled;
  hone::InferRequest request;
  std::vector<hone::Port> inputs, outputs;
  std::vector<hone::Shape> input_shapes, output_shapes;
  std::vector<hone::Tensor> given, results;
};

namespace {

thread_local std::string last_error;

// Runs `work`, turning exceptions into codes.
template <class F>
hone_status guarded(F&& work) {
  try {
    last_error.clear();
    work();
    return 0;
  } catch (const Error& e) {
    last_error = e.what();
    return exit_code(e.code());
  } catch (const std::bad_alloc&) {
    last_error = "[memory] out of memory";
  } catch (const std::exception& e) {
    last_error = e.what();
  }
  return 1;
}

void need(bool condition, const char* what) {
  if (!condition) throw Error(ErrorCode::usage, std::string("[c] ") + what);
}

}  // namespace

const char* hone_last_error(void) {
  return last_error.c_str();
}

hone_status hone_load(const char* path, const char* precision, int threads, hone_model** model) {
  return guarded([&] {
    need(path && model, "path and model must not be null");
    *model = nullptr;
    hone::Properties p;
    if (precision) p["INFERENCE_PRECISION_HINT"] = precision;
    p["INFERENCE_NUM_THREADS"] = std::to_string(threads);
    auto m = std::make_unique<hone_model>();
    m->compiled = hone::Core().compile_model(std::string(path), "CPU", p);
    m->request = m->compiled.create_infer_request();
    m->inputs = m->compiled.inputs();
    m->outputs = m->compiled.outputs();
    for (const auto& port : m->inputs) {
      hone::Shape s;
      if (port.partial_shape.rank_known()) {
        for (const auto& d : port.partial_shape) s.push_back(d.is_static() ? d.get_length() : -1);
      }
      m->input_shapes.push_back(s);
    }
    m->given.resize(m->inputs.size());
    m->results.resize(m->outputs.size());
    m->output_shapes.resize(m->outputs.size());
    *model = m.release();
  });
}

void hone_release(hone_model* model) {
  delete model;
}
size_t hone_num_inputs(const hone_model* model) {
  return model ? model->inputs.size() : 0;
}
size_t hone_num_outputs(const hone_model* model) {
  return model ? model->outputs.size() : 0;
}

hone_status hone_input(const hone_model* model, size_t index, hone_tensor* tensor) {
  return guarded([&] {
    need(model && tensor, "model and tensor must not be null");
    need(index < model->inputs.size(), "no such input");
    const auto& p = model->inputs[index];
    const auto& s = model->input_shapes[index];
    *tensor = {p.name.c_str(), name_of(p.element_type), s.data(), s.size(), nullptr, 0};
  });
}

hone_status hone_set_input(hone_model* model, size_t index, const int64_t* shape, size_t rank, const void* data,
                           size_t bytes) {
  return guarded([&] {
    need(model && (shape || rank == 0) && data, "model, shape and data must not be null");
    need(index < model->inputs.size(), "no such input");
    hone::Tensor t(model->inputs[index].element_type, hone::Shape(shape, shape + rank));
    need(t.byte_size() == bytes, "the number of bytes does not fit type and shape");
    std::memcpy(t.raw(), data, bytes);
    model->request.set_input_tensor(index, t);
    model->given[index] = t;
  });
}

hone_status hone_run(hone_model* model) {
  return guarded([&] {
    need(model, "model must not be null");
    model->request.infer();
    for (size_t i = 0; i < model->outputs.size(); ++i) {
      model->results[i] = model->request.get_output_tensor(i);
      model->output_shapes[i] = model->results[i].shape();
    }
  });
}

hone_status hone_output(hone_model* model, size_t index, hone_tensor* tensor) {
  return guarded([&] {
    need(model && tensor, "model and tensor must not be null");
    need(index < model->outputs.size(), "no such output");
    need(static_cast<bool>(model->results[index]), "there are no results yet: run the model first");
    hone::Tensor& t = model->results[index];
    *tensor = {model->outputs[index].name.c_str(),
               name_of(t.element_type()),
               model->output_shapes[index].data(),
               t.rank(),
               t.raw(),
               t.byte_size()};
  });
}
