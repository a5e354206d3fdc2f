#include <linformer/io/safetensors_writer.hpp>
#include <linformer/pretrained/fairseq_attention.hpp>
#include <linformer/pretrained/linformer_pytorch_attention.hpp>
#include <linformer/pretrained/lucidrains_attention.hpp>

#include "support/attention_support.hpp"
#include "support/temporary_folder.hpp"

#include <algorithm>
#include <deque>

// Attention layers of other libraries against what these make of them: fixtures/make_python_linformer_fixtures.py.

namespace {

std::string path_of(const std::string& file) {
#ifdef LINFORMER_TEST_DIR
  const std::filesystem::path tests(LINFORMER_TEST_DIR);
#else
  const std::filesystem::path tests = std::filesystem::path(__FILE__).parent_path().parent_path();
#endif
  return (tests / "fixtures" / "python_linformers" / (file + ".safetensors")).string();
}

template <Scalar T>
Matrix<T> read_matrix(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsTensor& tensor = *file.find(name);
  Matrix<T> values(tensor.shape.at(0), tensor.shape.at(1));
  file.read(name, tensor.shape, std::span(values.data(), static_cast<std::size_t>(values.size())));
  return values;
}

// A value passes queries, keys, their projection, scores, softmax, values and output, each a sum of at most 10 terms:
// some 10 steps whose roundings add up as √(10·10) = 10 of them. Weights of up to 1 and tokens of up to 2 give scores
// some 16 times as large as the differences that matter, and sums as much larger than what they come to.
template <Scalar T>
constexpr double of_sums = 2560 * static_cast<double>(std::numeric_limits<T>::epsilon());

/// Every layer of a case, loaded by load(file, prefix).
template <Scalar T, class Load>
void check_layers(const std::string& name, Sharing sharing, const Load& load) {
  CAPTURE(name);
  const SafetensorsFile file = SafetensorsFile::open(path_of(name));
  const SafetensorsFile expected = SafetensorsFile::open(path_of(name + "_expected"));
  const Matrix<T> x = read_matrix<T>(expected, "x");
  int layers = 0;
  for (const SafetensorsTensor& tensor : expected.tensors()) {
    if (!tensor.name.starts_with("y.")) continue;
    const LinformerAttention<T> attention = load(file, tensor.name.substr(2));
    REQUIRE(attention.config().sharing == sharing);
    const Matrix<double> y = read_matrix<double>(expected, tensor.name);
    const Matrix<double> actual = attention(x).template cast<double>();
    REQUIRE((actual - y).norm() <= std::min(of_sums<T>, 1e-5) * y.norm());
    ++layers;
  }
  REQUIRE(layers == 2);
}

constexpr Index heads = 2;

template <Scalar T>
LinformerAttention<T> lucidrains(const SafetensorsFile& file, const std::string& prefix) {
  return load_lucidrains_attention<T>(file, prefix, heads);
}
template <Scalar T>
LinformerAttention<T> fairseq(const SafetensorsFile& file, const std::string& prefix) {
  return load_fairseq_attention<T>(file, prefix, heads);
}
template <Scalar T>
LinformerAttention<T> linformer_pytorch(const SafetensorsFile& file, const std::string& prefix) {
  return load_linformer_pytorch_attention<T>(file, prefix);
}

/// The tensors of a file without one, or with one more, in a file of their own.
class Edited {
 public:
  Edited(const std::string& name, const std::string& without, const std::string& with = {}) {
    const SafetensorsFile file = SafetensorsFile::open(path_of(name));
    std::vector<SafetensorsTensor> tensors;
    for (const SafetensorsTensor& tensor : file.tensors()) {
      if (tensor.name != without) tensors.push_back(tensor);
    }
    if (!with.empty()) tensors.push_back({with, Dtype::u8, {0}, {}});
    write_safetensors(folder_.file("model.safetensors"), tensors, file.metadata());
  }
  [[nodiscard]] SafetensorsFile open() const { return SafetensorsFile::open(folder_.file("model.safetensors")); }
  [[nodiscard]] std::string place(const std::string& tensor) const {
    return folder_.file("model.safetensors") + ": " + tensor;
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEMPLATE_TEST_CASE("attention of lucidrains' linformer gives its outputs", "[pretrained]", double, float) {
  check_layers<TestType>("lucidrains", Sharing::headwise, lucidrains<TestType>);
  check_layers<TestType>("lucidrains_shared", Sharing::key_value, lucidrains<TestType>);
  check_layers<TestType>("lucidrains_one_head", Sharing::headwise, lucidrains<TestType>);
  check_layers<TestType>("lucidrains_one_head_shared", Sharing::key_value, lucidrains<TestType>);
}

TEMPLATE_TEST_CASE("attention of linformer-pytorch gives its outputs", "[pretrained]", double, float) {
  check_layers<TestType>("linformer_pytorch_none", Sharing::none, linformer_pytorch<TestType>);
  check_layers<TestType>("linformer_pytorch_headwise", Sharing::headwise, linformer_pytorch<TestType>);
  check_layers<TestType>("linformer_pytorch_kv", Sharing::key_value, linformer_pytorch<TestType>);
  check_layers<TestType>("linformer_pytorch_layerwise", Sharing::key_value, linformer_pytorch<TestType>);
}

TEMPLATE_TEST_CASE("attention of fairseq's formula gives its outputs", "[pretrained]", double, float) {
  check_layers<TestType>("fairseq", Sharing::headwise, fairseq<TestType>);
  check_layers<TestType>("fairseq_shared", Sharing::key_value, fairseq<TestType>);
}

TEST_CASE("every tensor of a layer that is missing, and one too many, is named", "[pretrained]") {
  const auto check = [](const std::string& name, const std::string& prefix, const auto& load) {
    const SafetensorsFile whole = SafetensorsFile::open(path_of(name));
    int tensors = 0;
    for (const SafetensorsTensor& tensor : whole.tensors()) {
      if (!tensor.name.starts_with(prefix)) continue;
      ++tensors;
      const Edited without(name, tensor.name);
      CAPTURE(tensor.name);
      check_error([&] { static_cast<void>(load(without.open(), prefix)); }, ErrorCode::malformed_input,
                  without.place(tensor.name));
    }
    REQUIRE(tensors >= 5);
    const Edited with(name, "", prefix + "gate");
    check_error([&] { static_cast<void>(load(with.open(), prefix)); }, ErrorCode::malformed_input,
                with.place(prefix + "gate"));
  };
  check("lucidrains", "net.layers.1.0.fn.", lucidrains<float>);
  check("lucidrains_one_head_shared", "net.layers.1.0.fn.", lucidrains<float>);
  check("linformer_pytorch_kv", "seq.0.fn.", linformer_pytorch<float>);
  check("fairseq_shared", "layers.1.self_attn.", fairseq<float>);
}

TEST_CASE("E and F of linformer-pytorch's no_params are read where they were written beside the rest", "[pretrained]") {
  // The layer of a file of learnable ones whose biases are zero, and the same with matrices as no_params has them: K·E,
  // E being n × k.
  const SafetensorsFile file = SafetensorsFile::open(path_of("linformer_pytorch_none"));
  const std::string prefix = "seq.0.fn.";
  std::vector<SafetensorsTensor> learnable, fixed;
  std::deque<Matrix<float>> transposed_matrices;
  const std::vector<float> zeros(100);
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    const std::string name = tensor.name.substr(prefix.size());
    if (name.starts_with("heads.") && name.ends_with(".bias")) {
      learnable.push_back(safetensors_tensor<float>(tensor.name, tensor.shape,
                                                    std::span(zeros).first(static_cast<std::size_t>(tensor.shape[0]))));
      continue;
    }
    learnable.push_back(tensor);
    if (name.starts_with("heads.")) {
      const Matrix<float>& matrix = transposed_matrices.emplace_back(read_matrix<float>(file, tensor.name).transpose());
      const Index shape[] = {matrix.rows(), matrix.cols()};
      fixed.push_back(safetensors_tensor<float>(tensor.name.substr(0, tensor.name.size() - 7), shape,
                                                std::span(matrix.data(), static_cast<std::size_t>(matrix.size()))));
    } else {
      fixed.push_back(tensor);
    }
  }
  REQUIRE(transposed_matrices.size() == 4);
  const TemporaryFolder folder;
  write_safetensors(folder.file("learnable"), learnable);
  write_safetensors(folder.file("fixed"), fixed);
  const auto expected = linformer_pytorch<float>(SafetensorsFile::open(folder.file("learnable")), prefix);
  const auto attention = linformer_pytorch<float>(SafetensorsFile::open(folder.file("fixed")), prefix);
  REQUIRE(attention.config().sharing == Sharing::none);
  const Matrix<float> x = read_matrix<float>(SafetensorsFile::open(path_of("linformer_pytorch_none_expected")), "x");
  REQUIRE((attention(x) - expected(x)).norm() <= of_sums<float> * expected(x).norm());
  fixed.erase(std::find_if(fixed.begin(), fixed.end(), [](const auto& each) { return each.name.ends_with("1.F"); }));
  write_safetensors(folder.file("fixed"), fixed);
  check_error([&] { static_cast<void>(linformer_pytorch<float>(SafetensorsFile::open(folder.file("fixed")), prefix)); },
              ErrorCode::malformed_input, folder.file("fixed") + ": seq.0.fn.heads.1.F");
}

TEST_CASE("a layer is not made of sizes that its other tensors have not", "[pretrained]") {
  const TemporaryFolder folder;
  const std::vector<float> values(100000);
  const auto tensor = [&](const char* name, std::vector<Index> shape) {
    return safetensors_tensor<float>(name, shape,
                                     std::span(values).first(static_cast<std::size_t>(shape[0] * shape[1])));
  };
  // Outputs of 100,000 columns would make 100,000 heads of one column, and as many queries, keys and values.
  std::vector<SafetensorsTensor> tensors{tensor("to_q.0.weight", {1, 100}), tensor("w_o.weight", {1, 100000})};
  tensors.push_back(tensor("heads.0.E", {2, 1}));
  write_safetensors(folder.file("wide"), tensors);
  check_error([&] { static_cast<void>(linformer_pytorch<float>(SafetensorsFile::open(folder.file("wide")), "")); },
              ErrorCode::shape_mismatch, folder.file("wide") + ": w_o.weight");
  // k = 5 of n = 2 tokens.
  tensors = {tensor("to_q.weight", {2, 2}), tensor("to_k.weight", {2, 2}), tensor("proj_k", {2, 5})};
  write_safetensors(folder.file("long"), tensors);
  check_error(
      [&] { static_cast<void>(load_lucidrains_attention<float>(SafetensorsFile::open(folder.file("long")), "", 1)); },
      ErrorCode::invalid_configuration, folder.file("long") + ": proj_k");
}

TEST_CASE("what a layer here cannot do is refused", "[pretrained]") {
  const SafetensorsFile convolution = SafetensorsFile::open(path_of("linformer_pytorch_convolution"));
  check_error([&] { static_cast<void>(linformer_pytorch<float>(convolution, "seq.0.fn.")); }, ErrorCode::unsupported,
              convolution.name() + ": seq.0.fn.heads.0.E.weight");
  const SafetensorsFile file = SafetensorsFile::open(path_of("linformer_pytorch_none"));
  check_error([&] { static_cast<void>(load_linformer_pytorch_attention<float>(file, "seq.0.fn.", Masking::causal)); },
              ErrorCode::unsupported, "masking");
  for (const Index count : {0, 3, -1}) {
    const SafetensorsFile other = SafetensorsFile::open(path_of("lucidrains"));
    check_error([&] { static_cast<void>(load_lucidrains_attention<float>(other, "net.layers.0.0.fn.", count)); },
                ErrorCode::invalid_configuration, "heads");
  }
}
