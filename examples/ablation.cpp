// Pretrains masked language models of several configurations with several seeds and puts the results side by side.
// Ctrl-C saves; the same command goes on where it was: finished cells are skipped.
#include "support/model_folder.hpp"
#include "support/pretraining.hpp"

#include <limits>
#include <map>
#include <sstream>

namespace {

using namespace linformer;
using Json = nlohmann::ordered_json;

struct Options {
  std::string table, validation, output = "ablation";
  std::vector<std::string> files;
  Index vocabulary = 0, threads = 2;
};

/// One configuration with one seed.
struct Cell {
  std::string name, folder;
  PretrainingOptions options;
  Json settings;  ///< all fields, and the data

  [[nodiscard]] std::string result_path() const { return folder + "/cell.json"; }
};

/// The table's object of that name. @throws Error malformed_input
Json member(const Json& table, const std::string& path, const char* name) {
  const bool there = table.is_object() && table.contains(name) && !table[name].empty();
  detail::require(there, ErrorCode::malformed_input, path, std::string("a member '") + name + "'", "none");
  return table[name];
}

/// The options that common fields and a configuration's make up. @throws Error for a field that is none, or its value
PretrainingOptions options_of(const Json& common, const Json& configuration) {
  PretrainingOptions options;
  Json fields;
  options.for_each_field([&](const char* name, const auto& value) { fields[name] = value; });
  for (const auto& part : {common, configuration}) {
    detail::require(part.is_object(), ErrorCode::malformed_input, "configuration", "an object", part.type_name());
    fields.update(part);
  }
  detail::FieldReader reader{nlohmann::json(fields)};
  options.for_each_field([&](const char* name, auto& value) { reader.take(name, value); });
  reader.finish();
  const auto positive = [](const char* name, Index value) {
    detail::require_config(value >= 1, name, "at least 1", value);
  };
  positive("micro_batches", options.micro_batches);
  positive("steps", options.steps);
  positive("evaluate_every", options.evaluate_every);
  positive("save_every", options.save_every);
  return options;
}

/// All cells of a table. Every one is checked before the first is trained.
std::vector<Cell> read_cells(const Options& options, Index vocabulary) {
  const auto table = read_json<Json>(options.table);
  const auto configurations = member(table, options.table, "configurations");
  const auto seeds = member(table, options.table, "seeds");
  const auto common = table.contains("common") ? table["common"] : Json::object();
  for (const auto& [name, value] : table.items()) {
    const bool known = name == "common" || name == "configurations" || name == "seeds";
    detail::require(known, ErrorCode::malformed_input, options.table, "common, configurations and seeds", name);
  }
  detail::require(configurations.is_object(), ErrorCode::malformed_input, options.table, "configurations by name",
                  configurations.type_name());
  Fingerprint data;
  for (const std::string& file : options.files) data.take(read_file(file));
  data.take(read_file(options.validation));

  std::vector<Cell> cells;
  for (const auto& [name, configuration] : configurations.items()) {
    detail::require(!name.empty() && name.front() != '.' && name.find('/') == std::string::npos,
                    ErrorCode::malformed_input, options.table, "names that a folder can have", name);
    for (const auto& seed : seeds) {
      detail::require(seed.is_number_unsigned(), ErrorCode::malformed_input, options.table, "seeds of at least 0",
                      seed.dump());
      Cell cell{.name = name, .folder = {}, .options = options_of(common, configuration), .settings = {}};
      cell.options.seed = seed.get<std::uint64_t>();
      cell.options.threads = options.threads;
      cell.options.vocabulary = options.vocabulary;
      cell.folder = options.output + "/" + name + "/seed-" + std::to_string(cell.options.seed);
      cell.options.for_each_field([&](const char* field, const auto& value) { cell.settings[field] = value; });
      cell.settings["vocabulary"] = options.vocabulary;
      cell.settings["data"] = std::to_string(data.value());
      static_cast<void>(cell.options.encoder.config(vocabulary));
      cells.push_back(std::move(cell));
    }
  }
  return cells;
}

/// What a finished cell has told, if it has. @throws Error invalid_configuration if it was another
std::optional<Json> finished(const Cell& cell) {
  if (!std::filesystem::exists(cell.result_path())) return std::nullopt;
  auto result = read_json<Json>(cell.result_path());
  const bool known = result.is_object() && result.contains("settings");
  detail::require(known, ErrorCode::malformed_input, cell.result_path(), "the result of a cell", "something else");
  detail::require(result["settings"] == cell.settings, ErrorCode::invalid_configuration,
                  cell.result_path() + ": settings", "those of the table, " + cell.settings.dump(),
                  result["settings"].dump());
  return result;
}

/// The evaluations of a cell's log, and its rate.
void add_curve(const std::string& log, Json& result) {
  std::istringstream lines(read_file(log));
  auto curve = Json::array();
  Index number = 0;
  for (std::string line; std::getline(lines, line);) {
    auto entry = parse_json<Json>(line, log + ":" + std::to_string(++number));
    result["tokens_per_second"] = entry["tokens_per_second"];
    if (!entry.contains("validation_loss")) continue;
    curve.push_back({{"step", entry["step"]},
                     {"training_loss", entry["loss"]},
                     {"validation_loss", entry["validation_loss"]},
                     {"perplexity", entry["perplexity"]}});
  }
  if (!curve.empty()) {
    result["validation_loss"] = curve.back()["validation_loss"];
    result["perplexity"] = curve.back()["perplexity"];
  }
  result["curve"] = std::move(curve);
}

/// Trains one cell. @return nothing if it was interrupted
std::optional<Json> train(const Cell& cell, const AnyTokenizer& tokenizer, const Sequences& training,
                          const Sequences& validation, const std::string& pieces, ProgramWorld world) {
  if (world.rank() == 0) {
    std::filesystem::create_directories(cell.folder);
    if (std::filesystem::exists(pieces)) write_file(cell.folder + "/" + AnyTokenizer::file_name, read_file(pieces));
  }
  Json result = {{"configuration", cell.name}, {"seed", cell.options.seed}};
  result["steps"] = cell.options.steps;
  try {
    const auto done = pretrain(cell.name, cell.options, tokenizer, training, validation, cell.folder, world);
    if (!done) return std::nullopt;
    result["parameters"] = done->parameters;
    result["encoder"] = to_json(done->encoder);
  } catch (const Error& error) {
    // A loss is the sum of all processes', so all are here; any other error ends all. It would be the same in another
    // attempt: the other cells go on.
    if (error.code() != ErrorCode::not_finite) throw;
    result["error"] = error.what();
  }
  if (world.rank() > 0) return result;
  add_curve(cell.folder + "/log.jsonl", result);
  result["settings"] = cell.settings;
  write_file(cell.result_path(), result.dump(2) + "\n");
  if (!result.contains("error")) std::filesystem::remove(training_state_path(cell.folder));  // an error tells of it
  return result;
}

void print(const Json& cells) {
  std::printf("\n%24s  %6s  %10s  %10s  %10s  %10s\n", "configuration", "seed", "parameters", "loss", "perplexity",
              "tokens/s");
  for (const auto& cell : cells) {
    std::printf("%24s  %6llu", cell["configuration"].get<std::string>().substr(0, 24).c_str(),
                static_cast<unsigned long long>(cell["seed"].get<std::uint64_t>()));
    if (cell.contains("error")) {
      std::printf("  %s\n", cell["error"].get<std::string>().c_str());
      continue;
    }
    const auto number = [&](const char* name) {  // null: one that JSON does not have, such as exp(1000)
      const auto found = cell.find(name);
      return found != cell.end() && found->is_number() ? found->get<double>() : std::numeric_limits<double>::infinity();
    };
    std::printf("  %10.0f  %10.4f  %10.3f  %10.0f\n", number("parameters"), number("validation_loss"),
                number("perplexity"), number("tokens_per_second"));
  }
}

int run(const Options& options, ProgramWorld world) {
  const std::string results = options.output + "/results.json", pieces = options.output + "/" + AnyTokenizer::file_name;
  const AnyTokenizer tokenizer = first_process_first(world, [&] {
    std::filesystem::create_directories(options.output);
    return AnyTokenizer::of_run(options.output, options.files, options.vocabulary, !std::filesystem::exists(results));
  });
  const std::vector<Cell> cells = read_cells(options, tokenizer.vocabulary_size());
  Fingerprint asked;
  for (const Cell& cell : cells) asked.take(cell.name), asked.take(cell.settings.dump());
  require_agreement(world, "table and data", asked.value());
  std::map<Index, std::pair<Sequences, Sequences>> data;  // by length
  const bool first = world.rank() == 0;
  Json done = Json::array();
  bool failed = false;
  for (const Cell& cell : cells) {
    std::printf("== %s, seed %llu\n", cell.name.c_str(), static_cast<unsigned long long>(cell.options.seed));
    std::fflush(stdout);
    std::optional<Json> result;
    if (first) result = finished(cell);
    if (!first_process_says(world, result.has_value())) {
      const Index length = cell.options.encoder.length;
      if (!data.contains(length)) {
        data[length] = {read_sequences(tokenizer, options.files, length),
                        read_sequences(tokenizer, {options.validation}, length)};
      }
      const auto& [training, validation] = data[length];
      result = train(cell, tokenizer, training, validation, pieces, world);
      if (!result) return 130;  // in all processes
    }
    if (!first) continue;
    failed = failed || result->contains("error");
    done.push_back(std::move(*result));
    write_file(results, Json{{"cells", done}}.dump(2) + "\n");
  }
  if (first) print(done);
  std::printf("%s written.\n", results.c_str());
  return first_process_says(world, failed) ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Pretrains several configurations with several seeds; the same command goes on where it was. The table is JSON:\n"
      R"({"common": {"length": 128, "steps": 500}, "seeds": [1, 2],)"
      "\n"
      R"( "configurations": {"softmax": {"mechanism": "softmax"}, "k = 32": {"projected_length": 32}}})"
      "\nFields: preset, layers, width, heads, mechanism, projection, sharing, length, projected_length, dropout, "
      "pre_norm, batch, micro_batches, steps, warmup, learning_rate, evaluate_every, save_every, recompute, with "
      "pretrain's meaning and defaults. Each cell's folder holds a model as pretrain writes it; results.json holds "
      "all.");
  app.option_defaults()->always_capture_default();
  app.add_option("table", options.table, "JSON file of configurations and seeds")->required()->check(CLI::ExistingFile);
  app.add_option("files", options.files, "text of any kind to train on")->required()->check(CLI::ExistingFile);
  app.add_option("--validation", options.validation, "text that is not trained on")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "folder for the results, and a folder for each cell");
  app.add_option("--vocabulary", options.vocabulary, "pieces of a SentencePiece model to train first; 0: bytes")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  return run_program(app, argc, argv, [&](const ProgramWorld& world) { return run(options, world); });
}
