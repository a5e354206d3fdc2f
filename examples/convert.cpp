// Turns a model of softmax attention, of this library or a BERT, RoBERTa or XLM-RoBERTa of Hugging Face's, into a
// Linformer of any n, k and sharing mode, and tells what that costs, layer by layer, on texts that it is given.
#include "support/any_tokenizer.hpp"
#include "support/conversion_choice.hpp"
#include "support/encoder_calls.hpp"
#include "support/model_folder.hpp"
#include "support/text_lines.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <iostream>

namespace {

using namespace linformer;

struct Options {
  std::string model, output = "converted", mechanism = "linformer", advice;
  ConversionChoice conversion;
  std::vector<std::string> files;
  Index texts = 64, threads = 2;
};

nlohmann::ordered_json cost(const Encoder<float>& original, const Encoder<float>& converted, const Options& options) {
  const AnyTokenizer tokenizer = AnyTokenizer::of_folder(options.model);
  const Index length = std::min(original.config().sequence_length, converted.config().sequence_length);
  const TokenBatch tokens = TokenBatch::from_sequences(
      read_text_lines(tokenizer, options.files, length, static_cast<std::size_t>(options.texts)));
  detail::require(tokens.layout.rows() > 0, ErrorCode::malformed_input, options.files.front(), "texts", "none");
  ThreadPool pool(options.threads);
  Workspace workspace;
  const auto differences = layer_differences(original, converted, tokens, Execution{pool, workspace, default_isa()});
  std::printf("Of %td texts, %td tokens, beside the original:\n%10s  %10s  %14s\n", tokens.layout.sequences(),
              tokens.layout.rows(), "layer", "cosine", "relative error");
  auto layers = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < differences.size(); ++i) {
    const std::string name = i == 0 ? "embeddings" : std::to_string(i - 1);
    std::printf("%10s  %10.4f  %14.4f\n", name.c_str(), differences[i].cosine, differences[i].relative_error);
    layers.push_back(
        {{"layer", name}, {"cosine", differences[i].cosine}, {"relative_error", differences[i].relative_error}});
  }
  return {{"texts", tokens.layout.sequences()}, {"tokens", tokens.layout.rows()}, {"layers", layers}};
}

int run(const Options& options) {
  const Encoder<float> original = load_encoder(options.model);
  Encoder<float> result = original;
  nlohmann::ordered_json report = {{"from", options.model}, {"mechanism", options.mechanism}};
  if (options.mechanism == "linformer") {
    const ConversionChoice conversion = options.advice.empty() ? options.conversion : read_advice(options.advice);
    result = to_linformer(original, conversion.config());
    report.update({{"start", conversion.start}, {"seed", conversion.seed}});
    if (!options.files.empty()) report["cost"] = cost(original, result, options);
  } else {
    detail::require(original.config().mechanism != Mechanism::linformer, ErrorCode::unsupported, options.model,
                    "a model of softmax attention", "a Linformer");
    detail::require(options.files.empty() && options.conversion.length == 0 && options.advice.empty(),
                    ErrorCode::invalid_configuration, "--mechanism softmax",
                    "neither texts, --length nor --advice: the model stays as it is", "one of them");
  }
  std::filesystem::create_directories(options.output);
  save_parameters(options.output + "/model.safetensors", result);
  AnyTokenizer::copy_files(options.model, options.output);
  write_file(options.output + "/conversion.json", report.dump(2) + "\n");
  write_file(options.output + "/config.json", to_json(result.config()).dump(2) + "\n");
  std::printf("%s: model.safetensors of %td parameters, config.json, and the tokenizer.\n", options.output.c_str(),
              parameter_count(result));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Turns a model of softmax attention into a Linformer. The model is a folder of this library's or of a BERT, "
      "RoBERTa or XLM-RoBERTa of Hugging Face's; what is written, finetune and embed read.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder")->required()->check(CLI::ExistingDirectory);
  app.add_option("files", options.files, "texts, a line each, on which the cost is measured")->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "folder to write");
  app.add_option("--mechanism", options.mechanism, "softmax: the same model in this library's files")
      ->check(CLI::IsMember({"linformer", "softmax"}));
  options.conversion.add_to(app);
  app.add_option("--advice", options.advice, "what spectrum wrote, instead of the options from --length to --seed")
      ->check(CLI::ExistingFile)
      ->excludes("--length", "--projected-length", "--projection", "--sharing", "--start", "--log-count", "--seed");
  app.add_option("--texts", options.texts, "how many texts are read of the files")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
