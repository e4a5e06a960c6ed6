#include "command/cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "troupe/actors/config.hpp"
namespace troupe::apps {
namespace {

constexpr const char* about =
    "troupe runs task graphs on machines with many accelerator chips, real or simulated.\n"
    "First steps:\n"
    "  troupe list                                    what there is to run\n"
    "  troupe run hello                               run it\n"
    "  troupe run allreduce --chips 4 --trace t.json  four simulated chips, and a trace\n"
    "  troupe trace summary t.json                    where the time went\n"
    "  troupe trace html t.json > t.html              a page to look at it";
constexpr const char* exits =
    "Exit codes: 0 fine; 1 it ran and failed; 2 the command line is wrong; 3 a file, module or platform\n"
    "cannot be used; 124 out of time; 130 interrupted. `troupe COMMAND --help` tells more.";

const std::vector<std::string> log_levels = {"error", "warning", "info", "debug"};

/// A number from `least` to `most`; in help only "N".
template <class Value>
CLI::Option* number(CLI::App* sub, const std::string& name, Value& value, const std::string& meaning,
                    int least, int most) {
  const std::string bounds = " (" + std::to_string(least) + " to " + std::to_string(most) + ")";
  return sub->add_option(name, value, meaning)
      ->type_name("N")
      ->check(CLI::Validator(
          [least, most, bounds](const std::string& text) {
            int parsed = 0;
            const bool fine = CLI::detail::lexical_cast(text, parsed) && parsed >= least && parsed <= most;
            return fine ? std::string() : "\"" + text + "\" is not a number that it takes" + bounds;
          },
          ""));
}

/// A name of a file or folder, which an unset variable of a script is not.
CLI::Option* place(CLI::App* sub, const std::string& name, std::string& value, const std::string& meaning,
                   const char* type = "FILE") {
  return sub->add_option(name, value, meaning)
      ->type_name(type)
      ->check(CLI::Validator(
          [](const std::string& text) {
            return text.empty() ? std::string("the name is empty") : std::string();
          },
          ""));
}

/// One of a few words; in help "WORD", the words stand in the text.
CLI::Option* word(CLI::App* sub, const std::string& name, std::string& value, const std::string& meaning,
                  const std::vector<std::string>& words) {
  std::string all;
  for (const auto& one : words) all += (all.empty() ? "" : ", ") + one;
  return sub->add_option(name, value, meaning + ": " + all)
      ->type_name("WORD")
      ->check(CLI::Validator(
          [words, all](const std::string& text) {
            if (std::ranges::find(words, text) != words.end()) return std::string();
            return "\"" + text + "\" is none of: " + all;
          },
          ""));
}

void add_run(CLI::App& app, std::optional<Command>& chosen, RunCommand& run) {
  CLI::App* sub = app.add_subcommand("run", "Run a program: a built-in example, or one in a shared object");
  sub->add_option("PROGRAM", run.program,
                  "A name from `troupe list`, or FILE.so for the one program in it, or FILE.so:NAME,\n"
                  "or FILE.py:NAME, in Python, or FILE.bin, a packed callable (any object, with --tensor)")
      ->required();
  sub->add_option("--platform", run.platform, "Platform of the chips: a2a3sim, a5sim, or a library's path")
      ->capture_default_str();
  number(sub, "--chips", run.chips, "Chips per node (default: what the program asks for)", 1,
         actors::most_executors);
  number(sub, "--nodes", run.nodes, "Nodes of a pod, all in this process (default: a single node)", 1,
         actors::most_executors);
  sub->add_flag("--checked", run.checked, "Chips look for kernels that write where they must not; slower");
  sub->add_flag("--isolate", run.isolate,
                "Each chip in a process of its own: a kernel that crashes ends no other");
  number(sub, "--runs", run.runs, "Run the program this many times, one after the other", 1, 1000000)
      ->capture_default_str();
  number(sub, "--timeout", run.timeout_seconds, "Seconds after which a run is cancelled (default: never)", 1,
         1000000);
  sub->add_option("--param", run.parameters, "k=v: a parameter of the program; see troupe run PROGRAM --help")
      ->allow_extra_args(false);
  sub->add_option("--tensor", run.tensors,
                  "TYPE[SHAPE]:TAG, with =VALUE or @FILE: a tensor of a FILE.bin, in their order")
      ->allow_extra_args(false);
  sub->add_option("--scalar", run.scalars, "TYPE=VALUE: a scalar of a FILE.bin, in their order")
      ->allow_extra_args(false);
  place(sub, "--trace", run.trace, "Write what ran where and when (Chrome / Perfetto format)");
  place(sub, "--graph", run.graph, "Write the task graph (.dot for Graphviz, .mmd for Mermaid)");
  place(sub, "--swimlane", run.swimlane, "Write the core tasks as swimlane JSON");
  place(sub, "--tensor-dump", run.tensor_dump, "Write the tensors before and after each kernel", "FOLDER");
  sub->add_option("--dump-only", run.dumped, "Dump kernels with this name only; * and ? stand for anything")
      ->type_name("NAME")
      ->needs("--tensor-dump");
  sub->footer(
      "Examples:\n"
      "  troupe run vector_add --platform a5sim\n"
      "  troupe run allreduce --chips 8 --param rounds=20 --trace t.json\n"
      "  troupe run heat --help                                   what its parameters are\n"
      "  troupe run ./libmine.so:train --chips 2 --param 0=1e-6   (without a name: by position)\n"
      "  troupe run decode.bin --tensor f32[8,64]:in=1.5 --tensor f32[64]:out --scalar i32=3\n"
      "Ctrl-C cancels the run, cleans up and answers 130; a second one ends at once.");
  sub->callback([&] { chosen = run; });
}

void add_looks(CLI::App& app, std::optional<Command>& chosen, ListCommand& list, DevicesCommand& devices,
               ScenesCommand& scenes) {
  CLI::App* sub = app.add_subcommand("list", "List the built-in examples, or what modules contain");
  sub->add_option("MODULE", list.modules, "Shared objects; without any: the built-in examples");
  sub->callback([&] { chosen = list; });

  sub = app.add_subcommand("devices", "List the platforms that can be used, and what their chips are");
  sub->add_option("PLATFORM", devices.platforms, "Names or library paths (default: all that are found)");
  sub->footer("Platforms are looked for in TROUPE_PLATFORM_PATH, then where troupe is installed.");
  sub->callback([&] { chosen = devices; });

  sub = app.add_subcommand("scenes", "Run test scenes on simulated chips, several at a time");
  sub->add_option("MODULE", scenes.modules,
                  "Shared objects with scenes, or programs of scenes; without any: the built-in scenes");
  sub->add_option("--platform", scenes.platforms, "Only on this one, or these: P,Q (default: a2a3sim,a5sim)")
      ->delimiter(',')
      ->allow_extra_args(false);
  sub->add_option("--case", scenes.cases, "Only SCENE or SCENE::CASE; may be given several times")
      ->allow_extra_args(false);
  number(sub, "--devices", scenes.devices, "How many run at a time (default: the machine's cores)", 1, 256);
  number(sub, "--timeout", scenes.timeout_seconds, "Seconds after which a scene has failed", 1, 86400)
      ->capture_default_str();
  word(sub, "--manual", scenes.manual, "Cases marked as manual", {"exclude", "include", "only"})
      ->capture_default_str();
  number(sub, "--rounds", scenes.rounds, "Run each this many times in its process", 1, 1000000)
      ->capture_default_str();
  number(sub, "--retries", scenes.retries, "Fresh tries for what failed", 0, 100)->capture_default_str();
  sub->add_flag("-x,--fail-fast", scenes.fail_fast, "Start nothing more after a failure");
  sub->add_flag("--list", scenes.list, "Only list them");
  sub->footer(
      "Each scene runs in a process of its own; one that fails is tried again in a fresh one.\n"
      "Examples:\n"
      "  troupe scenes --platform a5sim --case matmul_tiled\n"
      "  troupe scenes ./libmy_kernels.so");
  sub->callback([&] { chosen = scenes; });

  app.add_subcommand("version", "Print the version")->callback([&] { chosen = VersionCommand{}; });
}

struct TraceCommands {
  TraceSummaryCommand summary;
  TraceHtmlCommand html;
  TraceGraphCommand graph;
  TraceSwimlaneCommand swimlane;
};

void add_trace(CLI::App& app, std::optional<Command>& chosen, TraceCommands& commands) {
  CLI::App* trace = app.add_subcommand("trace", "Look at a trace that `troupe run --trace` wrote");
  trace->require_subcommand(1);
  CLI::App* sub = trace->add_subcommand(
      "summary", "Utilisation, longest tasks, critical path, where time was lost waiting");
  sub->add_option("FILE", commands.summary.file, "A trace")->required();
  sub->callback([&] { chosen = commands.summary; });

  sub = trace->add_subcommand("html", "One self-contained page to zoom in, on standard output");
  sub->add_option("FILE", commands.html.file, "A trace")->required();
  sub->footer("Example: troupe trace html t.json > timeline.html");
  sub->callback([&] { chosen = commands.html; });

  sub = trace->add_subcommand("graph", "The task graph, with tags and the way of failures");
  sub->add_option("FILE", commands.graph.file, "A trace")->required();
  sub->add_option("OUTPUT", commands.graph.output, "FILE.dot (Graphviz) or FILE.mmd (Mermaid)")->required();
  sub->callback([&] { chosen = commands.graph; });

  sub = trace->add_subcommand("swimlane", "The core tasks as swimlane JSON");
  sub->add_option("FILE", commands.swimlane.file, "A trace")->required();
  sub->add_option("OUTPUT", commands.swimlane.output, "Where to write it")->required();
  sub->callback([&] { chosen = commands.swimlane; });
}

void add_dump(CLI::App& app, std::optional<Command>& chosen, DumpCommand& dump) {
  CLI::App* sub = app.add_subcommand("dump", "Look at tensors that `troupe run --tensor-dump` wrote");
  sub->add_option("FOLDER", dump.folder, "A tensor dump")->required();
  sub->add_option("--task", dump.filter.task, "Only of this task, e.g. 17.3")->type_name("NUMBER");
  sub->add_option("--name", dump.filter.name, "Only of kernels with this name; * and ? stand for anything");
  word(sub, "--stage", dump.filter.stage, "Only at this moment", {"before", "after"});
  word(sub, "--role", dump.filter.role, "Only arguments used so",
       {"in", "out", "inout", "out_existing", "no_dep"});
  number(sub, "--arg", dump.filter.argument, "Only the argument of this number", 0, 1000000);
  number(sub, "--index", dump.filter.index, "Only the entry of this number in the listing", 0, 1000000000);
  sub->add_flag("--values", dump.values, "Print the elements too");
  place(sub, "--export", dump.export_folder, "Write the elements of each as text into this folder", "FOLDER");
  sub->callback([&] { chosen = dump; });
}

/// Common options may stand after the subcommand, where people put them.
void let_options_stand_anywhere(CLI::App& app) {
  for (CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; })) {
    sub->fallthrough();
    let_options_stand_anywhere(*sub);
  }
}

/// The innermost command that was named, and how it was called.
std::pair<const CLI::App*, std::string> innermost(const CLI::App& app) {
  const CLI::App* asked = &app;
  std::string called = "troupe";
  for (auto parsed = app.get_subcommands(); !parsed.empty(); parsed = asked->get_subcommands()) {
    asked = parsed.front();
    called += " " + asked->get_name();
  }
  return {asked, called};
}

/// How many letters it takes to make one word of the other, swaps of neighbours counted as one.
std::size_t distance(std::string_view one, std::string_view other) {
  std::vector<std::vector<std::size_t>> rows(one.size() + 1, std::vector<std::size_t>(other.size() + 1));
  for (std::size_t i = 0; i <= one.size(); ++i) {
    for (std::size_t k = 0; k <= other.size(); ++k) {
      if (i == 0 || k == 0) {
        rows[i][k] = i + k;
        continue;
      }
      const std::size_t change = one[i - 1] == other[k - 1] ? 0 : 1;
      rows[i][k] = std::min({rows[i - 1][k] + 1, rows[i][k - 1] + 1, rows[i - 1][k - 1] + change});
      const bool swapped = i > 1 && k > 1 && one[i - 1] == other[k - 2] && one[i - 2] == other[k - 1];
      if (swapped) rows[i][k] = std::min(rows[i][k], rows[i - 2][k - 2] + 1);
    }
  }
  return rows[one.size()][other.size()];
}

/// The first option that the command does not have, and the one that may have been meant (or nothing).
struct UnknownOption {
  std::string written, meant;
};
std::optional<UnknownOption> unknown_option(const std::vector<std::string>& arguments,
                                            const CLI::App& asked) {
  std::vector<std::string> known;
  for (const CLI::App* app = &asked; app != nullptr; app = app->get_parent()) {
    for (const auto* option : app->get_options()) {
      for (const auto& name : option->get_lnames()) known.push_back("--" + name);
    }
  }
  for (const auto& argument : arguments) {
    if (argument == "--") return std::nullopt;
    const auto written = argument.substr(0, argument.find('='));
    if (!written.starts_with("--") || std::ranges::find(known, written) != known.end()) continue;
    UnknownOption found{written, ""};
    std::size_t nearest = 3;  // more than two letters off is another word
    for (const auto& name : known) {
      const auto off = distance(written, name);
      if (off < nearest) found.meant = name;
      nearest = std::min(nearest, off);
    }
    return found;
  }
  return std::nullopt;
}

/// What is wrong, as a sentence. The library's own words, except where they do not say it.
std::string complaint(const CLI::ParseError& wrong, const std::vector<std::string>& arguments,
                      const CLI::App& app) {
  const bool no_command = dynamic_cast<const CLI::RequiredError*>(&wrong) != nullptr &&
                          std::string_view(wrong.what()).find("subcommand") != std::string_view::npos;
  const std::string_view said = wrong.what();
  if (const auto colon = said.find(": 1 required "); colon != std::string_view::npos) {
    return std::string(said.substr(0, colon)) + " needs a value";
  }
  if (const auto colon = said.find(": At Most 1 required"); colon != std::string_view::npos) {
    return std::string(said.substr(0, colon)) + " can be given only once";
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&wrong) != nullptr) {
    return "did not expect \"" + std::string(said.substr(said.find(": ") + 2)) + "\"";
  }
  if (!no_command) return wrong.what();
  const auto [asked, called] = innermost(app);
  // What stands where the command should: after the commands that were understood.
  const std::size_t depth = static_cast<std::size_t>(std::ranges::count(called, ' '));
  for (std::size_t i = depth; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--log-level")) {
      if (arguments[i] == "--log-level") ++i;  // with its value
      continue;
    }
    if (arguments[i].starts_with('-')) return "did not expect \"" + arguments[i] + "\" before a command";
    return "there is no command \"" + called + " " + arguments[i] + "\"";
  }
  return called + " needs a command";
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  std::optional<Command> chosen;
  RunCommand run;
  ListCommand list;
  DevicesCommand devices;
  ScenesCommand scenes;
  TraceCommands traces;
  DumpCommand dump;

  CLI::App app(about, "troupe");
  app.footer(exits);
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("troupe ") + version(), "Print the version");
  std::string log_level = log_levels[static_cast<std::size_t>(line.log_level) - 1];
  word(&app, "--log-level", log_level, "How much to say", log_levels)->capture_default_str();
  add_run(app, chosen, run);
  add_looks(app, chosen, list, devices, scenes);
  add_trace(app, chosen, traces);
  add_dump(app, chosen, dump);
  let_options_stand_anywhere(app);

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    line.command = std::move(chosen);
    const auto level = std::ranges::find(log_levels, log_level) - log_levels.begin();
    line.log_level = static_cast<int>(level) + 1;
  } catch (const CLI::CallForHelp&) {
    const auto [asked, called] = innermost(app);
    if (asked->get_name() == "run" && !asked->get_option("PROGRAM")->results().empty()) {
      line.command = ProgramHelpCommand{asked->get_option("PROGRAM")->results().front()};
      return line;
    }
    line.text = asked->help(asked == &app ? "" : called.substr(0, called.rfind(' ')));
  } catch (const CLI::CallForVersion& asked) {
    line.text = std::string(asked.what()) + "\n";
  } catch (const CLI::ParseError& wrong) {
    line.exit = exit_usage;
    const auto [asked, called] = innermost(app);
    const auto unknown = asked == &app ? std::nullopt : unknown_option(arguments, *asked);
    line.text =
        "troupe: " +
        (unknown ? called + " has no option \"" + unknown->written + "\""
                 : complaint(wrong, arguments, app)) +
        "\n  hint: " + (unknown && !unknown->meant.empty() ? "did you mean " + unknown->meant + "? " : "") +
        called + " --help\n";
  }
  return line;
}

const char* version() noexcept { return TROUPE_VERSION; }

}  // namespace troupe::apps
