#include <gtest/gtest.h>

#include <cmath>

#include "formats/onnx/file_maker_test.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone {
namespace {

TEST(OnnxReader, reads_linear_models_and_support_vectors_of_classic_learning) {
  const auto first = [](const std::string& op, const onnx::AttributeList& a, const std::vector<float>& x,
                        const std::vector<std::string>& outputs = {"y"}) {
    OnnxFile f;
    f.input("x", ElementType::f32, {1, static_cast<int64_t>(x.size())});
    f.add(OnnxFile::node(op, {"x"}, outputs, "ai.onnx.ml", a));
    for (const std::string& o : outputs) f.output(o);
    std::vector<std::vector<double>> out;
    const Tensor in = Tensor::of<float>({1, static_cast<int64_t>(x.size())}, std::span<const float>(x));
    for (const Datum& d : evaluate(f.read(), {in})) {
      if (d.tensor().element_type() == ElementType::string)
        out.push_back({static_cast<double>(d.tensor().strings()[0][0])});
      else
        out.push_back(d.tensor().to_doubles());
    }
    return out;
  };
  using A = onnx::AttributeList;
  using V = std::vector<double>;
  EXPECT_EQ(first("LinearRegressor",
                  A().i("targets", 2).floats("coefficients", {1, 2, 3, 4}).floats("intercepts", {1, -1}), {1, 2})[0],
            (V{6, 10}));
  const auto three = first("LinearClassifier",
                           A().floats("coefficients", {1, 0, 0, 1, -1, 1})
                               .floats("intercepts", {0.5, 0, 0})
                               .strings("classlabels_strings", {"a", "b", "c"}),
                           {1, 2}, {"label", "scores"});
  EXPECT_EQ(three[0], V{'b'});
  EXPECT_EQ(three[1], (V{1.5, 2, 1}));
  const auto two = first("LinearClassifier",
                         A().floats("coefficients", {1, 1}).floats("intercepts", {-5}).ints("classlabels_ints", {7, 9}),
                         {1, 2}, {"label", "scores"});
  EXPECT_EQ(two[0], V{7});
  EXPECT_EQ(two[1], (V{3, -2}));
  const A vectors = A().floats("support_vectors", {0, 0, 1, 0}).floats("coefficients", {2, -1}).floats("rho", {0.5});
  A rbf = vectors;
  EXPECT_NEAR(first("SVMRegressor", rbf.i("n_supports", 2).s("kernel_type", "RBF").floats("kernel_params", {1, 0, 3}),
                    {0, 0})[0][0],
              2 - std::exp(-1.0) + 0.5, 1e-6);
  const auto votes = first("SVMClassifier",
                           A().floats("support_vectors", {1, 0, 0, 1, -1, -1})
                               .floats("coefficients", {1, -1, -1, 1, 1, -1})
                               .floats("rho", {0, 0, 0})
                               .ints("vectors_per_class", {1, 1, 1})
                               .ints("classlabels_ints", {4, 5, 6}),
                           {0.25f, 1}, {"label", "scores"});
  EXPECT_EQ(votes[0], V{5});
  EXPECT_EQ(votes[1], (V{-0.75, 1.5, 2.25}));
  const auto probabilities = first("SVMClassifier",
                                   A().floats("support_vectors", {1, 0, 0, 1, -1, -1})
                                       .floats("coefficients", {1, -1, -1, 1, 1, -1})
                                       .floats("rho", {0, 0, 0})
                                       .ints("vectors_per_class", {1, 1, 1})
                                       .ints("classlabels_ints", {4, 5, 6})
                                       .floats("prob_a", {-1, -2, -0.5})
                                       .floats("prob_b", {0, 0.25, -0.5}),
                                   {0.25f, 1}, {"label", "scores"});
  EXPECT_EQ(probabilities[0], V{5});
  const V of_onnxruntime{0.30969676, 0.6224598, 0.06784338};
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(probabilities[1][i], of_onnxruntime[i], 1e-6);
  EXPECT_EQ(first("Imputer", A().floats("imputed_value_floats", {8, 9}).f("replaced_value_float", 1), {1, 2})[0],
            (V{8, 2}));
  EXPECT_EQ(first("OneHotEncoder", A().ints("cats_int64s", {3, 5}), {5, 4})[0], (V{0, 1, 0, 0}));
  EXPECT_EQ(first("ZipMap", A().ints("classlabels_int64s", {0, 1}), {0.25f, 0.75f})[0], (V{0.25, 0.75}));
}

TEST(OnnxReader, cuts_text_into_tokens_and_counts_them) {
  using A = onnx::AttributeList;
  const auto run_on = [](const A& tokenizer, const std::vector<std::string>& text) {
    OnnxFile f;
    f.constant("x", Tensor::strings({std::ssize(text)}, text));
    f.add(OnnxFile::node("Tokenizer", {"x"}, {"tokens"}, "com.microsoft", tokenizer));
    f.add(OnnxFile::node("TfIdfVectorizer", {"tokens"}, {"y"}, "",
                         A().i("min_gram_length", 1)
                             .i("max_gram_length", 2)
                             .i("max_skip_count", 0)
                             .s("mode", "TF")
                             .ints("ngram_counts", {0, 2})
                             .ints("ngram_indexes", {0, 1, 2})
                             .strings("pool_strings", {"hello", "dog", "hello", "dog"})))
        .output("y");
    return run(f.read(), {}).to_doubles();
  };
  using V = std::vector<double>;
  const std::vector<std::string> text{"hello, dog! hello dog", "doghello", ""};
  const A base = A().i("mark", 0).s("pad_value", "#").i("mincharnum", 1);
  EXPECT_EQ(run_on(A(base).s("tokenexp", "[a-z]+"), text), (V{2, 2, 2, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(run_on(A(base).strings("separators", {"[,!]", " "}), text), (V{2, 2, 2, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(run_on(A(base).strings("separators", {" "}), text), (V{1, 1, 1, 0, 0, 0, 0, 0, 0}));
  EXPECT_THROW(run_on(base, text), Error);
  EXPECT_THROW(run_on(A(base).strings("separators", {"("}), text), Error);
}

}  // namespace
}  // namespace hone
