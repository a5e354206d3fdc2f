// Turns a model of softmax attention, of this library or a BERT, RoBERTa or XLM-RoBERTa of Hugging Face's, into a
// Linformer of any n, k and sharing mode, fits E and F to texts, and tells what that costs, layer by layer, on others.
// A Linformer grows to a longer n.
#include "support/any_tokenizer.hpp"
#include "support/conversion_choice.hpp"
#include "support/encoder_calls.hpp"
#include "support/model_folder.hpp"
#include "support/text_lines.hpp"

#include <linformer/pretrained/growth.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>

namespace {

using namespace linformer;

struct Options {
  std::string model, output = "converted", mechanism = "linformer", grow, advice;
  ConversionChoice conversion;
  std::vector<std::string> files;
  Index texts = 64, threads = 2;
};

constexpr detail::EnumNames<Growth, 2> growth_names{{{"stretched", Growth::stretched}, {"tiled", Growth::tiled}}};

/// Texts of the files: those that E and F are fitted to, if they are, then those that the cost is measured on.
struct Texts {
  TokenBatch fitted, judged;
};

Texts read_texts(const Options& options, const Encoder<float>& model, Index length) {
  const AnyTokenizer tokenizer = AnyTokenizer::of_model(options.model, model.config().vocabulary_size);
  const auto fitted = static_cast<std::size_t>(options.conversion.fitted() ? options.conversion.fit_texts : 0);
  const auto sequences =
      read_text_lines(tokenizer, options.files, length, fitted + static_cast<std::size_t>(options.texts));
  detail::require(sequences.size() > fitted, ErrorCode::malformed_input, options.files.front(),
                  fitted == 0 ? "texts" : "more than " + std::to_string(fitted) + " texts",
                  std::to_string(sequences.size()));
  const std::span<const std::vector<TokenId>> all(sequences);
  return {TokenBatch::from_sequences(all.first(fitted)), TokenBatch::from_sequences(all.subspan(fitted))};
}

constexpr detail::EnumNames<LbfgsStop, 5> stop_names{{{"iterations", LbfgsStop::iterations},
                                                      {"tolerance", LbfgsStop::tolerance},
                                                      {"flat", LbfgsStop::flat},
                                                      {"no_decrease", LbfgsStop::no_decrease},
                                                      {"not_finite", LbfgsStop::not_finite}}};

nlohmann::ordered_json fit(const Encoder<float>& original, Encoder<float>& converted, const TokenBatch& texts,
                           const Options& options, const Execution& execution) {
  std::printf("E and F are fitted to %td texts, %td tokens. Error of the heads' results, ‖P̄·F·V − P·V‖/‖P·V‖:\n",
              texts.layout.sequences(), texts.layout.rows());
  std::fflush(stdout);
  const FitConfig& config = options.conversion.fit;
  const std::vector<ProjectionFit> fits = fit_with_progress(original, converted, texts, config, execution);
  std::printf("%10s  %10s  %10s  %10s  %10s  %s\n", "layer", "head", "before", "after", "iterations", "ended by");
  auto report = nlohmann::ordered_json::array();
  for (const ProjectionFit& each : fits) {
    const std::string stop = detail::name_in(stop_names, each.stop);
    std::printf("%10td  %10td  %10.4f  %10.4f  %10td  %s\n", each.layer, each.head, each.before, each.after,
                each.iterations, stop.c_str());
    report.push_back({{"layer", each.layer},
                      {"head", each.head},
                      {"before", each.before},
                      {"after", each.after},
                      {"iterations", each.iterations},
                      {"ended_by", stop}});
  }
  return {{"texts", texts.layout.sequences()}, {"tokens", texts.layout.rows()}, {"iterations", config.iterations},
          {"rounds", config.rounds},           {"ridge", config.ridge},         {"fits", report}};
}

/// The cosine of the embeddings of each text by two models, on average.
double embedding_cosine(const Encoder<float>& original, const Encoder<float>& converted, const TokenBatch& tokens,
                        const Execution& execution) {
  const Matrix<float> a = sentence_embeddings(original, tokens, execution);
  const Matrix<float> b = sentence_embeddings(converted, tokens, execution);
  return a.cwiseProduct(b).cast<double>().sum() / static_cast<double>(a.rows());
}

nlohmann::ordered_json cost(const Encoder<float>& original, const Encoder<float>& converted, const TokenBatch& tokens,
                            const Execution& execution) {
  const auto differences = layer_differences(original, converted, tokens, execution);
  std::printf("Of %td texts, %td tokens, beside the original:\n%10s  %10s  %14s\n", tokens.layout.sequences(),
              tokens.layout.rows(), "layer", "cosine", "relative error");
  auto layers = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < differences.size(); ++i) {
    const std::string name = i == 0 ? "embeddings" : std::to_string(i - 1);
    std::printf("%10s  %10.4f  %14.4f\n", name.c_str(), differences[i].cosine, differences[i].relative_error);
    layers.push_back(
        {{"layer", name}, {"cosine", differences[i].cosine}, {"relative_error", differences[i].relative_error}});
  }
  const double embeddings = embedding_cosine(original, converted, tokens, execution);
  std::printf("Cosine of the texts' embeddings: %.4f\n", embeddings);
  return {{"texts", tokens.layout.sequences()},
          {"tokens", tokens.layout.rows()},
          {"layers", layers},
          {"embedding_cosine", embeddings}};
}

/// Takes the advice, and tells what it was computed for.
nlohmann::ordered_json take_advice(const Encoder<float>& original, Options& options) {
  const Advice advice = options.conversion.take_advice(options.advice, original);
  const bool by_output = advice.criterion == "output";
  std::printf(
      "%s: k by %s%s.%s\n", options.advice.c_str(),
      by_output ? "what E and F keep, started as " : "the spectrum of P, of which E and F keep less; they start as ",
      options.conversion.start.c_str(), advice.same_model ? "" : " It was computed for another model of this shape.");
  return {{"file", options.advice}, {"criterion", advice.criterion}, {"same_model", advice.same_model}};
}

int run(Options options) {
  auto language_model = load_masked_language_model_if_read(options.model);  // whose head stays as it is
  const bool headed = language_model.has_value();
  const Encoder<float> original = headed ? language_model->encoder() : load_encoder(options.model);
  const bool same_folder =
      std::filesystem::exists(options.output) && std::filesystem::equivalent(options.model, options.output);
  detail::require(!same_folder, ErrorCode::invalid_configuration, "--output", "another folder than the model's",
                  options.output);
  Encoder<float> result = original;
  nlohmann::ordered_json report = {{"from", options.model}, {"mechanism", options.mechanism}};
  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  if (!options.grow.empty()) {
    result =
        grow(original, {.sequence_length = options.conversion.length, .growth = value_of(growth_names, options.grow)});
    report.update({{"grown", options.grow}, {"from_length", original.config().sequence_length}});
    if (!options.files.empty()) {
      const Texts texts = read_texts(options, original, original.config().sequence_length);
      report["cost"] = cost(original, result, texts.judged, execution);
    }
  } else if (options.mechanism == "linformer") {
    if (!options.advice.empty()) report["advice"] = take_advice(original, options);
    const bool fitted = options.conversion.fitted();
    detail::require(!fitted || !options.files.empty(), ErrorCode::invalid_configuration, "--start fitted",
                    "texts to fit to", "none");
    result = to_linformer(original, options.conversion.config());
    const bool learned = result.config().projection.kind == ProjectionKind::learned;
    report.update({{"start", learned ? options.conversion.start : options.conversion.encoder.projection},
                   {"seed", options.conversion.seed}});
    if (!options.files.empty()) {
      const Texts texts =
          read_texts(options, original, std::min(original.config().sequence_length, result.config().sequence_length));
      if (fitted) report["fit"] = fit(original, result, texts.fitted, options, execution);
      report["cost"] = cost(original, result, texts.judged, execution);
    }
  } else {
    detail::require(original.config().mechanism != Mechanism::linformer, ErrorCode::unsupported, options.model,
                    "a model of softmax attention", "a Linformer");
    detail::require(options.files.empty() && options.conversion.length == 0 && options.advice.empty(),
                    ErrorCode::invalid_configuration, "--mechanism softmax",
                    "neither texts, --length nor --advice: the model stays as it is", "one of them");
  }
  std::filesystem::create_directories(options.output);
  save_encoder(options.output + "/model.safetensors", result, std::move(language_model));
  AnyTokenizer::copy_files(options.model, options.output);
  write_file(options.output + "/conversion.json", report.dump(2) + "\n");
  write_file(options.output + "/config.json", to_json(result.config()).dump(2) + "\n");
  std::printf("%s: model.safetensors of %td parameters%s, config.json, and the tokenizer.\n", options.output.c_str(),
              parameter_count(result), headed ? " and the masked-language-model head" : "");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Turns a model of softmax attention into a Linformer, or a Linformer into one of a longer n. The model is a "
      "folder of this library's or of a BERT, RoBERTa or XLM-RoBERTa of Hugging Face's; what is written, finetune and "
      "embed read. A masked-language-model head stays as it is.");
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder")->required()->check(CLI::ExistingDirectory);
  app.add_option("files", options.files, "texts, a line each, to fit E and F to and to measure the cost on")
      ->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "folder to write");
  app.add_option("--mechanism", options.mechanism, "softmax: the same model in this library's files")
      ->check(CLI::IsMember({"linformer", "softmax"}));
  options.conversion.add_lengths_to(app);
  options.conversion.add_projections_to(app);
  app.add_option("--advice", options.advice,
                 "what spectrum wrote, for this model: how E and F were made that were judged, instead of --length, "
                 "--projected-length, --projection, --sharing, --start, --fit-..., --ridge, --log-count and --seed")
      ->check(CLI::ExistingFile)
      ->excludes("--length", "--projected-length", "--projection", "--sharing", "--start", "--fit-texts",
                 "--fit-iterations", "--fit-rounds", "--ridge", "--log-count", "--seed");
  app.add_option(
         "--grow", options.grow,
         "of a Linformer, whose k and sharing stay: E and F of --length columns, stretched, or tiled as positions "
         "are")
      ->check(CLI::IsMember({"stretched", "tiled"}))
      ->excludes("--mechanism", "--advice", "--projected-length", "--projection", "--sharing", "--start", "--fit-texts",
                 "--fit-iterations", "--fit-rounds", "--ridge", "--log-count", "--seed");
  app.add_option("--texts", options.texts, "how many texts the cost is measured on")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
