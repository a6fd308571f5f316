// Whole networks on their kernels in several threads at once: sessions side by side, the queue of one session, callers
// that share one session. Each run must give the bits that a run alone gives. Built with -fsanitize=thread these tests
// say what races.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include "hone/core.hpp"
#include "ops/samples.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

struct Network {
  const char* name;  ///< of the zoo, or a file of the test data
  const char* precision = "f32";
  int64_t size = 0;  ///< of a zoo network's picture
};

// Convolutions dense and depthwise, in f32, bf16 and int8; attention; recurrence; quantized files of two formats.
const Network zoo_networks[] = {
    {"resnet8", "f32", 32}, {"mobilenet_v3_small", "f32", 64}, {"mobilenet_v2", "bf16", 32}};
const Network files[] = {{"onnx/samplenet/samplenet.onnx"},
                         {"onnx/micro_kws/micro_kws_m_static_qdq.onnx"},
                         {"onnx/tfbert_qa_tiny/TFBertForQuestionAnswering.onnx"},
                         {"onnx/dtln_1/model_1.onnx"},
                         {"tflite/kws_ref/kws_ref_model.tflite"},
                         {"onnx/face_landmark/face_landmark.onnx"}};

std::string data_folder() {
  const char* given = std::getenv("HONE_DATA");
  return (given ? given : std::string(HONE_SOURCE_DIR) + "/../shared/data") + "/models/";
}

// Input sizes that a file leaves open become 1 (batch) or 8.
Model model_of(const Network& n) {
  if (n.size > 0) {
    NetworkOptions o;
    o.height = o.width = n.size;
    o.classes = 10;
    o.seed = 3;
    Model m(std::make_shared<Graph>(build_network(n.name, o)));
    m.set_batch(2);
    return m;
  }
  Model m = Core().read_model(data_folder() + n.name);
  std::map<std::string, PartialShape> shapes;
  for (const Port& p : m.inputs()) {
    PartialShape s = p.partial_shape;
    if (!s.rank_known() || s.is_static()) continue;
    for (size_t d = 0; d < s.rank(); ++d) {
      if (!s[d].is_static()) s[d] = Dimension(d == 0 ? 1 : 8);
    }
    shapes[p.name] = s;
  }
  if (!shapes.empty()) m.reshape(shapes);
  return m;
}

std::vector<Tensor> inputs_of(const CompiledModel& model, uint64_t seed) {
  std::vector<Tensor> out;
  for (const Port& p : model.inputs()) {
    const Shape shape = p.partial_shape.to_shape();
    if (is_float(p.element_type)) {
      out.push_back(random_tensor(shape, seed, 0, 1, p.element_type));
    } else {
      out.emplace_back(p.element_type, shape);
      for (size_t i = 0; i < out.back().size(); ++i) set_element(out.back(), i, static_cast<double>((i + seed) % 2));
    }
  }
  return out;
}

void give(InferRequest& r, const std::vector<Tensor>& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) r.set_input_tensor(i, inputs[i]);
}
std::vector<Tensor> taken(const InferRequest& r, const CompiledModel& model) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < model.outputs().size(); ++i) out.push_back(r.get_output_tensor(i).clone());
  return out;
}
bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Tensor& x, const Tensor& y) { return x.identical(y); });
}

// A network with what it gives for three inputs, found with nothing beside it.
struct Known {
  explicit Known(const Network& n) : network(n), source(model_of(n)) {
    const CompiledModel model = compiled(1);
    InferRequest r = model.create_infer_request();
    for (uint64_t seed = 0; seed < 3; ++seed) {
      inputs.push_back(inputs_of(model, seed));
      give(r, inputs.back());
      r.reset_state();
      r.infer();
      wanted.push_back(taken(r, model));
    }
  }
  // With a session, and so pools, of its own.
  CompiledModel compiled(int streams) const {
    return Core().compile_model(source, "CPU",
                                {{"INFERENCE_PRECISION_HINT", network.precision},
                                 {"INFERENCE_NUM_THREADS", "2"},
                                 {"NUM_STREAMS", std::to_string(streams)}});
  }
  Network network;
  Model source;
  std::vector<std::vector<Tensor>> inputs, wanted;
};

std::string test_name(const Network& n) {
  std::string s = n.size > 0 ? n.name : std::filesystem::path(n.name).stem().string();
  for (char& c : s) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return s + "_" + n.precision;
}

class SideBySide : public ::testing::TestWithParam<Network> {
 protected:
  void SetUp() override {
    if (GetParam().size == 0 && !std::filesystem::exists(data_folder() + GetParam().name))
      GTEST_SKIP() << "needs the test data (HONE_DATA)";
  }
};

TEST_P(SideBySide, two_sessions_give_what_one_gives) {
  const Known other({"resnet8", "f32", 32}), own(GetParam());
  std::atomic<int> wrong{0}, runs{0};
  const auto work = [&](const Known& k) {
    const CompiledModel model = k.compiled(1);
    InferRequest r = model.create_infer_request();
    for (size_t run = 0; run < 6; ++run) {
      give(r, k.inputs[run % 3]);
      r.reset_state();
      if (run % 2) {
        r.infer();
      } else {
        r.start_async();
        r.wait();
      }
      wrong += !same(taken(r, model), k.wanted[run % 3]);
      ++runs;
    }
  };
  std::thread second([&] { work(other); }), third([&] { work(own); });
  work(own);
  second.join();
  third.join();
  EXPECT_EQ(runs, 18);
  EXPECT_EQ(wrong, 0);
}

TEST_P(SideBySide, a_queue_of_requests_gives_what_one_gives) {
  const Known k(GetParam());
  const CompiledModel model = k.compiled(2);
  std::atomic<int> wrong{0}, ended{0};
  std::vector<InferRequest> requests;
  std::vector<int> left(4, 4);  // of the request's own callback
  for (size_t i = 0; i < left.size(); ++i) requests.push_back(model.create_infer_request());
  for (size_t i = 0; i < left.size(); ++i) {
    give(requests[i], k.inputs[i % 3]);
    requests[i].set_callback([&, i](std::exception_ptr e) {
      wrong += e || !same(taken(requests[i], model), k.wanted[i % 3]);
      ++ended;
      if (--left[i] == 0) return;
      requests[i].reset_state();
      requests[i].start_async();
    });
  }
  for (InferRequest& r : requests) r.start_async();
  for (InferRequest& r : requests) r.wait();
  EXPECT_EQ(ended, 16);
  EXPECT_EQ(wrong, 0);
}

TEST_P(SideBySide, callers_that_share_a_session_get_what_one_gets) {
  const Known k(GetParam());
  const CompiledModel model = k.compiled(2);
  std::atomic<int> wrong{0}, runs{0};
  const auto work = [&](size_t from) {
    InferRequest r = model.create_infer_request();
    for (size_t run = from; run < from + 4; ++run) {
      give(r, k.inputs[run % 3]);
      r.reset_state();
      r.infer();
      wrong += !same(taken(r, model), k.wanted[run % 3]);
      wrong += r.get_profiling_info().empty();
      ++runs;
    }
  };
  std::thread second([&] { work(1); }), third([&] { work(2); });
  work(0);
  second.join();
  third.join();
  EXPECT_EQ(runs, 12);
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Zoo, SideBySide, ::testing::ValuesIn(zoo_networks),
                         [](const auto& info) { return test_name(info.param); });
INSTANTIATE_TEST_SUITE_P(Files, SideBySide, ::testing::ValuesIn(files),
                         [](const auto& info) { return test_name(info.param); });

TEST(Profiling, times_belong_to_the_request_that_ran) {
  const Known k({"resnet8", "f32", 32});
  const CompiledModel model = k.compiled(2);
  InferRequest ran = model.create_infer_request(), fresh = model.create_infer_request();
  give(ran, k.inputs[0]);
  ran.infer();
  const auto times = ran.get_profiling_info(), none = fresh.get_profiling_info();
  ASSERT_EQ(times.size(), none.size());
  ASSERT_FALSE(times.empty());
  std::chrono::nanoseconds all{0};
  for (size_t i = 0; i < times.size(); ++i) {
    all += times[i].real_time;
    EXPECT_EQ(none[i].real_time.count(), 0);
    EXPECT_EQ(none[i].exec_type, times[i].exec_type);
  }
  EXPECT_GT(all.count(), 0);
}

TEST(Profiling, is_refused_while_the_request_runs) {
  const Known k({"resnet8", "f32", 32});
  const CompiledModel model = k.compiled(1);
  InferRequest first = model.create_infer_request(), second = model.create_infer_request();
  std::mutex gate;
  std::condition_variable changed;
  bool open = false;
  first.set_callback([&](std::exception_ptr) {  // holds up the only stream, and so the second request
    std::unique_lock lock(gate);
    changed.wait(lock, [&] { return open; });
  });
  give(first, k.inputs[0]);
  give(second, k.inputs[1]);
  first.start_async();
  second.start_async();
  try {
    second.get_profiling_info();
    ADD_FAILURE() << "gave times of a request that runs";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::usage);
    EXPECT_EQ(e.hint(), "wait for it first");
  }
  {
    std::lock_guard lock(gate);
    open = true;
  }
  changed.notify_all();
  first.wait();
  second.wait();
  EXPECT_FALSE(second.get_profiling_info().empty());
}

}  // namespace
}  // namespace hone
