// Writes a model of this library with softmax attention as Hugging Face's transformers has it, so that Python can go on
// with it: an encoder, a masked language model or a classifier, whichever the folder holds.
#include "support/any_tokenizer.hpp"
#include "support/model_folder.hpp"

#include <linformer/pretrained/save_pretrained.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>

namespace {

using namespace linformer;

struct Options {
  std::string model, output = "exported", architecture = "bert";
};

template <class Model>
void export_model(const SafetensorsFile& file, Model model, const HuggingFaceConfig& like, const std::string& folder) {
  tell_aside(load_part(file, model));
  save_pretrained(folder, model, like);
}

int run(const Options& options) {
  const auto file = SafetensorsFile::open(options.model + "/model.safetensors");
  HuggingFaceConfig like;
  for (const auto& [name, architecture] : detail::architecture_names) {
    if (name == options.architecture) like.architecture = architecture;
  }
  const TokenId padding = AnyTokenizer::of_folder(options.model).special_tokens().pad;
  if (padding != no_token) like.padding_id = padding;
  const char* what = "an encoder";
  if (std::filesystem::exists(options.model + "/classifier.json")) {
    const ClassifierSettings settings = ClassifierSettings::read(options.model);
    const auto classes = static_cast<Index>(settings.labels.size());
    like.labels = settings.labels;
    like.problem =
        settings.multi_label ? ProblemType::multi_label_classification : ProblemType::single_label_classification;
    export_model(file,
                 SequenceClassifier<float>(read_model_config(options.model, classes), classes, settings.pooling, 0),
                 like, options.output);
    what = "a classifier";
  } else if (file.find("classifier.out_proj.weight") != nullptr) {
    throw Error(ErrorCode::file_access, options.model + "/classifier.json", "what finetune writes beside a classifier",
                "none");
  } else if (file.find("lm_head.bias") != nullptr) {
    export_model(file, MaskedLanguageModel<float>(read_model_config(options.model), 0), like, options.output);
    what = "a masked language model";
  } else {
    export_model(file, Encoder<float>(read_model_config(options.model), 0), like, options.output);
  }
  AnyTokenizer::copy_files(options.model, options.output);
  std::printf("%s: %s as transformers has it, and the tokenizer.\n", options.output.c_str(), what);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Writes a model of softmax attention as a folder of Hugging Face's transformers: config.json, model.safetensors "
      "and the tokenizer's files.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder that pretrain, finetune or convert wrote")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--output", options.output, "folder to write");
  app.add_option("--architecture", options.architecture, "whose classes read it: that which the model came from")
      ->check(CLI::IsMember({"bert", "roberta", "xlm-roberta"}));
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
