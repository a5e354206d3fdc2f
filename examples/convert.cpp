// Turns a model of softmax attention, of this library or a BERT, RoBERTa or XLM-RoBERTa of Hugging Face's, into a
// Linformer of any n, k and sharing mode, and tells what that costs, layer by layer, on texts that it is given.
#include "support/any_tokenizer.hpp"
#include "support/encoder_calls.hpp"
#include "support/encoder_choice.hpp"
#include "support/model_folder.hpp"
#include "support/text_lines.hpp"

#include <linformer/pretrained/conversion.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <iostream>

namespace {

using namespace linformer;

struct Options {
  std::string model, output = "converted", mechanism = "linformer", start = "mean_pooling";
  EncoderChoice choice;  ///< of which the projections alone are read
  std::vector<std::string> files;
  std::vector<Index> projected_lengths{128};
  Index length = 0, texts = 64, threads = 2;
  std::uint64_t seed = 1;
  bool log_count = false;
};

constexpr detail::EnumNames<ProjectionStart, 3> start_names{{{"mean_pooling", ProjectionStart::mean_pooling},
                                                             {"gaussian", ProjectionStart::gaussian},
                                                             {"random", ProjectionStart::random}}};

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
    ConversionConfig conversion{
        .sequence_length = options.length,
        .projected_length = options.projected_lengths,
        .sharing = options.choice.sharing_value(),
        .projection = {.kind = options.choice.projection_value(), .log_count = options.log_count},
        .seed = options.seed};
    for (const auto& [name, value] : start_names) {
      if (name == options.start) conversion.start = value;
    }
    result = to_linformer(original, conversion);
    report.update({{"start", options.start}, {"seed", options.seed}});
    if (!options.files.empty()) report["cost"] = cost(original, result, options);
  } else {
    detail::require(original.config().mechanism != Mechanism::linformer, ErrorCode::unsupported, options.model,
                    "a model of softmax attention", "a Linformer");
    detail::require(options.files.empty() && options.length == 0, ErrorCode::invalid_configuration,
                    "--mechanism softmax", "neither texts nor --length: the model stays as it is", "one of them");
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
  app.add_option("--length", options.length, "sequence length n; 0: the model's")->check(CLI::NonNegativeNumber);
  app.add_option("--projected-length", options.projected_lengths,
                 "projected length k: a number, or several by layer, by head, or by layer and head")
      ->check(CLI::PositiveNumber);
  options.choice.add_projections_to(app);
  app.add_option("--start", options.start, "what learned E and F start as")
      ->check(CLI::IsMember({"mean_pooling", "gaussian", "random"}));
  app.add_flag("--log-count", options.log_count, "of mean pooling: add log(tokens in the window) to its score");
  app.add_option("--seed", options.seed, "of what is drawn");
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
