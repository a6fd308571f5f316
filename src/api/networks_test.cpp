#include "api/networks.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "formats/npy/npy.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/convolution.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

// The weights of a network in the shapes that PyTorch gives them.
StateDict weights_of(const Graph& g) {
  StateDict s;
  for (NodeId id : g.topological_order()) {
    const Node n = g.handle(id);
    if (!n.is<Constant>() || n.output().names().empty()) continue;
    const std::string name = n.output().names()[0];
    const Tensor t = n.output().constant();
    Shape shape = t.shape();
    if (shape.size() == 5) shape = {shape[0] * shape[1], shape[2], shape[3], shape[4]};
    if (name.ends_with(".bias")) shape = {static_cast<int64_t>(t.size())};
    s.tensors.emplace_back(name, t.reshaped(shape));
  }
  s.tensors.emplace_back("bn1.num_batches_tracked", Tensor::scalar<int64_t>(7));
  return s;
}

NetworkOptions seeded(int64_t classes = 0, int64_t channels = 0) {
  NetworkOptions o;
  o.seed = 5;
  o.classes = classes;
  o.channels = channels;
  return o;
}

std::string message_of(const std::string& network, const StateDict& weights) {
  try {
    network_with_weights(network, weights);
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

std::string data_folder() {
  const char* given = std::getenv("HONE_DATA");
  return given ? given : std::string(HONE_SOURCE_DIR "/../shared/data");
}

}  // namespace

TEST(Networks, take_weights_by_name) {
  NetworkOptions o = seeded();
  o.height = o.width = 32;
  for (const char* name : {"resnet8", "mobilenet_v3_small", "samplenet"}) {
    const Graph own = build_network(name, o);
    const Graph loaded = network_with_weights(std::string(name) + ":size=32", weights_of(own));
    const Tensor x = random_tensor({1, 3, 32, 32}, 3);
    EXPECT_TRUE(evaluate(own, {x})[0].tensor().identical(evaluate(loaded, {x})[0].tensor())) << name;
  }
}

TEST(Networks, take_classes_and_channels_from_the_weights) {
  const StateDict weights = weights_of(build_network("resnet8", seeded(7, 1)));
  EXPECT_EQ(fitting_networks(weights), std::vector<std::string>{"resnet8:classes=7,channels=1"});
  const Graph g = network_with_weights("resnet8", weights);
  EXPECT_EQ(to_string(g.inputs()[0].shape()), "[N,1,32,32]");
  EXPECT_EQ(to_string(g.outputs()[0].shape()), "[N,7]");
}

TEST(Networks, name_what_does_not_fit) {
  StateDict weights = weights_of(build_network("resnet8", seeded()));
  EXPECT_NE(message_of("resnet20", weights).find("missing: layer1.1.conv1.weight"), std::string::npos);
  EXPECT_NE(message_of("resnet20", weights).find("fitting: resnet8"), std::string::npos);
  weights.tensors[0].second = Tensor(ElementType::f32, {16, 3, 5, 5});
  EXPECT_NE(message_of("resnet8", weights).find("[16,3,5,5] instead of [16,3,3,3]"), std::string::npos)
      << message_of("resnet8", weights);
  EXPECT_NE(message_of("resnet21", weights).find("choose one of resnet8"), std::string::npos);
  EXPECT_NE(message_of("resnet8:classes=x", weights).find("NAME:classes=10"), std::string::npos);
  EXPECT_NE(message_of("resnet8:colour=3", weights).find("no parameter 'colour'"), std::string::npos);
}

TEST(Networks, compute_what_pytorch_computed) {
  const std::string other = data_folder() + "/models/other/";
  if (!std::filesystem::exists(other + "mtcnn_torch/pnet.pt"))
    GTEST_SKIP() << "no test data: set HONE_DATA to the folder with models/";
  const auto close = [](const Tensor& a, const Tensor& b) {
    ASSERT_EQ(a.shape(), b.shape());
    const auto x = a.to_doubles(), y = b.to_doubles();
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(x[i], y[i], 1e-4 + 1e-3 * std::abs(y[i])) << i;  // the tolerance recorded with the case
  };
  const Graph pnet = read_network_that_fits(other + "mtcnn_torch/pnet.pt", "");
  const auto p = evaluate(pnet, {read_npy(other + "mtcnn_torch/io/case0_in0.npy")});
  close(p[0].tensor(), read_npy(other + "mtcnn_torch/io/case0_out0.npy"));
  close(p[1].tensor(), read_npy(other + "mtcnn_torch/io/case0_out1.npy"));
  const Graph resnet = read_network(other + "resnet20_cifar10/resnet20-12fca82f.th", "resnet20");
  close(evaluate(resnet, {read_npy(other + "resnet20_cifar10/io/case0_in0.npy")})[0].tensor(),
        read_npy(other + "resnet20_cifar10/io/case0_out0.npy"));
  for (const auto& [file, network] : {std::pair{"mtcnn_torch/rnet.pt", "mtcnn_rnet"},
                                      {"samplenet_torch/samplenet.pth", "samplenet"},
                                      {"silero_vad_safetensors/silero_vad_16k.safetensors", "silero_vad"}}) {
    EXPECT_EQ(fitting_networks(read_weights(other + file)), std::vector<std::string>{network});
    try {
      read_network(other + file, "");
      ADD_FAILURE() << file;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(std::string("fitting: ") + network), std::string::npos) << e.what();
    }
  }
}

}  // namespace hone
