#include <linformer/model/model_file.hpp>
#include <linformer/pretrained/load_pretrained.hpp>

#include "pretrained/checkpoint_files.hpp"
#include "support/resources.hpp"

#include <map>

// Checkpoints that transformers wrote against what PyTorch makes of them: fixtures/make_pretrained_fixtures.py.

namespace {

const std::vector<std::string> language_models{"bert_masked_lm", "bert_sharded", "roberta_masked_lm",
                                               "xlm_roberta_masked_lm"};
const std::vector<std::string> classifiers{"bert_classifier", "roberta_classifier", "xlm_roberta_classifier"};

// A value passes some 40 steps (embedding, norm, and in each of two layers six products, a softmax, GELU and two norms,
// then the head), each of which sums at most 32 terms. Their roundings fall to either side and add up as √(40·32) < 36
// of them; weights of up to 1/2 make what is summed some 16 times as large as the sum now and then, on either side.
template <Scalar T>
constexpr double units = 1024 * static_cast<double>(std::numeric_limits<T>::epsilon());

template <Scalar T>
void check_close(const Matrix<T>& actual, const Matrix<double>& expected) {
  REQUIRE(actual.rows() == expected.rows());
  REQUIRE(actual.cols() == expected.cols());
  const double difference = (actual.template cast<double>() - expected).cwiseAbs().maxCoeff();
  REQUIRE(difference <= units<T> * expected.cwiseAbs().maxCoeff());
}

template <Scalar T>
Matrix<T> logits_of_all(const MaskedLanguageModel<T>& model, const TokenBatch& tokens) {
  Resources resources(1);
  return model.logits(model.encoder()(tokens, resources.execution), resources.execution);
}

template <Scalar T>
Matrix<T> hidden_of(const Encoder<T>& encoder, const TokenBatch& tokens) {
  Resources resources(1);
  return encoder(tokens, resources.execution);
}

std::vector<std::string> names_of(const ImportReport& report) {
  std::vector<std::string> names;
  for (const IgnoredTensor& tensor : report.ignored) {
    CHECK_FALSE(tensor.reason.empty());
    names.push_back(tensor.name);
  }
  return names;
}

}  // namespace

TEMPLATE_TEST_CASE("masked language models are PyTorch's", "[pretrained]", double, float) {
  for (const std::string& name : language_models) {
    CAPTURE(name);
    const PretrainedExpectation expected(name);
    const auto loaded = load_pretrained_masked_language_model<TestType>(pretrained_fixture(name));
    REQUIRE(loaded.report.ignored.empty());
    check_close(hidden_of(loaded.model.encoder(), expected.tokens), expected.hidden);
    check_close(logits_of_all(loaded.model, expected.tokens), expected.logits);
  }
}

TEMPLATE_TEST_CASE("classifiers are PyTorch's", "[pretrained]", double, float) {
  for (const std::string& name : classifiers) {
    CAPTURE(name);
    const PretrainedExpectation expected(name);
    const auto loaded = load_pretrained_classifier<TestType>(pretrained_fixture(name));
    REQUIRE(loaded.report.ignored.empty());
    REQUIRE(loaded.model.classes() == expected.logits.cols());
    REQUIRE(loaded.model.pooling() == Pooling::first_token);
    Resources resources(1);
    check_close(loaded.model(expected.tokens, resources.execution), expected.logits);
  }
}

TEST_CASE("an encoder is read from under any head, with its prefix and without", "[pretrained]") {
  for (const auto* names : {&language_models, &classifiers}) {
    for (const std::string& name : *names) {
      CAPTURE(name);
      const PretrainedExpectation expected(name);
      const auto loaded = load_pretrained_encoder<double>(pretrained_fixture(name));
      const Matrix<double> hidden = hidden_of(loaded.model, expected.tokens);
      check_close(hidden, expected.hidden);
      const std::vector<std::string> ignored = names_of(loaded.report);
      REQUIRE_FALSE(ignored.empty());
      for (const std::string& tensor : ignored) {
        CAPTURE(tensor);
        REQUIRE((tensor.starts_with("cls.predictions.") || tensor.starts_with("lm_head.") ||
                 tensor.starts_with("classifier.") || tensor.starts_with("bert.pooler.")));
      }

      EditedCheckpoint bare(name);
      bare.rename_start("bert.", "");
      bare.rename_start("roberta.", "");
      const TemporaryFolder folder;
      bare.save(folder);
      REQUIRE(hidden_of(load_pretrained_encoder<double>(folder.path()).model, expected.tokens) == hidden);
    }
  }
}

TEST_CASE("heads are read without a prefix too", "[pretrained]") {
  for (const std::string name : {"bert_masked_lm", "roberta_masked_lm", "bert_classifier", "roberta_classifier"}) {
    CAPTURE(name);
    const PretrainedExpectation expected(name);
    EditedCheckpoint bare(name);
    bare.rename_start("bert.", "");
    bare.rename_start("roberta.", "");
    const TemporaryFolder folder;
    bare.save(folder);
    if (name.ends_with("lm")) {
      check_close(logits_of_all(load_pretrained_masked_language_model<double>(folder.path()).model, expected.tokens),
                  expected.logits);
    } else {
      Resources resources(1);
      check_close(load_pretrained_classifier<double>(folder.path()).model(expected.tokens, resources.execution),
                  expected.logits);
    }
  }
}

TEST_CASE("files of F16 and BF16, and one model in several, give the same bits", "[pretrained]") {
  for (const std::string& name : language_models) {
    CAPTURE(name);
    const PretrainedExpectation expected(name);
    const Matrix<float> logits =
        logits_of_all(load_pretrained_masked_language_model<float>(pretrained_fixture(name)).model, expected.tokens);
    for (const std::optional<Dtype> dtype :
         {std::optional<Dtype>(), std::optional(Dtype::f16), std::optional(Dtype::bf16)}) {
      EditedCheckpoint edited(name);
      if (dtype) edited.convert(*dtype);
      const TemporaryFolder whole, sharded;
      edited.save(whole);
      edited.save_sharded(sharded);
      for (const TemporaryFolder* folder : {&whole, &sharded}) {
        const auto loaded = load_pretrained_masked_language_model<float>(folder->path());
        REQUIRE(logits_of_all(loaded.model, expected.tokens) == logits);
      }
    }
  }
}

TEST_CASE("names of TensorFlow, tied decoders and buffers are understood", "[pretrained]") {
  for (const std::string name : {"bert_masked_lm", "roberta_masked_lm"}) {
    CAPTURE(name);
    const bool bert = name.starts_with("bert");
    const PretrainedExpectation expected(name);
    const Matrix<double> logits =
        logits_of_all(load_pretrained_masked_language_model<double>(pretrained_fixture(name)).model, expected.tokens);
    const std::string prefix = bert ? "bert." : "roberta.";
    const std::string decoder = bert ? "cls.predictions.decoder" : "lm_head.decoder";
    const std::string bias = bert ? "cls.predictions.bias" : "lm_head.bias";
    EditedCheckpoint edited(name);
    for (auto& tensor : edited.tensors) {
      for (const auto& [end, older] : {std::pair<std::string, std::string>("LayerNorm.weight", "LayerNorm.gamma"),
                                       std::pair<std::string, std::string>("LayerNorm.bias", "LayerNorm.beta")}) {
        if (tensor.name.ends_with(end)) tensor.name.replace(tensor.name.size() - end.size(), end.size(), older);
      }
    }
    edited.copy(prefix + "embeddings.word_embeddings.weight", decoder + ".weight");
    edited.copy(bias, decoder + ".bias");
    edited.tensors.push_back({prefix + "embeddings.position_ids", Dtype::i64, {1, 2}, std::string(16, '\0')});
    edited.tensors.push_back({prefix + "pooler.dense.bias", Dtype::f32, {1}, std::string(4, '\0')});
    const TemporaryFolder folder;
    edited.save(folder);
    const auto loaded = load_pretrained_masked_language_model<double>(folder.path());
    REQUIRE(logits_of_all(loaded.model, expected.tokens) == logits);
    REQUIRE(names_of(loaded.report) ==
            std::vector<std::string>{prefix + "embeddings.position_ids", prefix + "pooler.dense.bias"});

    // Which of two shared tensors is kept is for the writer to choose.
    edited.remove(prefix + "embeddings.word_embeddings.weight");
    edited.remove(bias);
    edited.save(folder);
    REQUIRE(logits_of_all(load_pretrained_masked_language_model<double>(folder.path()).model, expected.tokens) ==
            logits);

    // A decoder of its own cannot be had.
    edited = EditedCheckpoint(name);
    edited.copy(prefix + "embeddings.word_embeddings.weight", decoder + ".weight");
    edited.at(decoder + ".weight").bytes[0] ^= 1;
    edited.save(folder);
    check_error([&] { static_cast<void>(load_pretrained_masked_language_model<double>(folder.path())); },
                ErrorCode::unsupported, folder.file("model.safetensors") + ": " + decoder + ".weight");
    // But the encoder has no decoder.
    REQUIRE(hidden_of(load_pretrained_encoder<double>(folder.path()).model, expected.tokens).rows() > 0);
  }
}

TEST_CASE("classes are those of the labels, or as many as there are", "[pretrained]") {
  REQUIRE(load_pretrained_classifier<float>(pretrained_fixture("roberta_classifier")).config.labels ==
          std::vector<std::string>{"against", "neither", "for"});
  EditedCheckpoint edited("roberta_classifier");
  edited.config.erase("id2label");
  const TemporaryFolder folder;
  edited.save(folder);
  REQUIRE(load_pretrained_classifier<float>(folder.path()).model.classes() == 3);
  edited.config["id2label"] = {{"0", "no"}, {"1", "yes"}};
  edited.save(folder);
  check_error([&] { static_cast<void>(load_pretrained_classifier<float>(folder.path())); }, ErrorCode::shape_mismatch,
              folder.file("model.safetensors") + ": classifier.out_proj.weight");
}

TEST_CASE("an imported model is saved, loaded and frozen as any other", "[pretrained]") {
  const PretrainedExpectation expected("bert_masked_lm");
  const auto imported = load_pretrained_masked_language_model<float>(pretrained_fixture("bert_masked_lm")).model;
  const TemporaryFolder folder;
  Resources resources(1);
  save_model(folder.file("model.safetensors"), imported, resources.execution);
  const nlohmann::json config = to_json(imported.encoder().config());
  MaskedLanguageModel<float> loaded(encoder_config_from_json(config), 1);
  load_model(SafetensorsFile::open(folder.file("model.safetensors")), loaded, resources.execution);
  REQUIRE(logits_of_all(loaded, expected.tokens) == logits_of_all(imported, expected.tokens));

  const RowSelection all = RowSelection::first_tokens(expected.tokens.layout);
  const Matrix<float> frozen = imported.frozen()(expected.tokens, all, resources.execution);
  Matrix<double> first(3, expected.logits.cols());
  for (Index b = 0; b < 3; ++b) first.row(b) = expected.logits.row(expected.tokens.layout.offset(b));
  check_close(frozen, first);
}
