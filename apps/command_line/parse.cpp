// A command line becomes a command, or a sentence that says what is wrong with it and a hint.
#include <algorithm>
#include <optional>
#include <string_view>

#include "command/parameters.hpp"
#include "command/program.hpp"
#include "command_line/complete.hpp"
#include "command_line/definition.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::apps {

std::pair<const CLI::App*, std::string> innermost(const CLI::App& app) {
  const CLI::App* asked = &app;
  std::string called = "troupe";
  for (auto parsed = app.get_subcommands(); !parsed.empty(); parsed = asked->get_subcommands()) {
    asked = parsed.front();
    called += " " + asked->get_name();
  }
  return {asked, called};
}

std::vector<const CLI::Option*> shown_options(const CLI::App& app) {
  std::vector<const CLI::Option*> found;
  for (const auto* option : app.get_options()) {
    if (!option->get_group().empty()) found.push_back(option);
  }
  return found;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

namespace {

std::string meant(std::string_view written, const std::vector<std::string>& known) {
  return runtime::did_you_mean(written, known);
}

/// The first option that the command does not have, and the one that may have been meant (or nothing).
struct UnknownOption {
  std::string written, hint;
};
std::optional<UnknownOption> unknown_option(const std::vector<std::string>& arguments,
                                            const CLI::App& asked) {
  std::vector<std::string> known;
  for (const CLI::App* app = &asked; app != nullptr; app = app->get_parent()) {
    for (const auto* option : shown_options(*app)) {
      for (const auto& name : option->get_lnames()) known.push_back("--" + name);
    }
  }
  const auto understood = [&](const std::string& written) {
    for (const CLI::App* app = &asked; app != nullptr; app = app->get_parent()) {
      if (app->get_option_no_throw(written) != nullptr) return true;
    }
    return false;
  };
  for (const auto& argument : arguments) {
    if (argument == "--") return std::nullopt;
    const auto written = argument.substr(0, argument.find('='));
    if (!written.starts_with("--") || understood(written)) continue;
    return UnknownOption{written, meant(written, known)};
  }
  return std::nullopt;
}

struct Complaint {
  std::string text, hint;
};

/// What stands where the command should, after the commands that were understood.
std::optional<std::string> in_place_of_a_command(const std::vector<std::string>& arguments,
                                                 const CLI::App& app) {
  const auto [asked, called] = innermost(app);
  if (commands_of(*asked).empty()) return std::nullopt;
  auto understood = std::ranges::count(called, ' ');
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--log-level")
      ++i;  // with its value
    else if (arguments[i].starts_with("--log-level="))
      continue;
    else if (understood == 0)
      return arguments[i];
    else if (!arguments[i].starts_with('-'))
      --understood;
  }
  return std::nullopt;
}

Complaint no_such_command(const std::vector<std::string>& arguments, const CLI::App& app) {
  const auto [asked, called] = innermost(app);
  const auto written = in_place_of_a_command(arguments, app);
  if (!written) return {called + " needs a command", ""};
  if (written->starts_with('-')) return {"did not expect \"" + *written + "\" before a command", ""};
  std::vector<std::string> known;
  for (const auto* sub : commands_of(*asked)) known.push_back(sub->get_name());
  std::string hint = meant(*written, known);
  const bool program = asked == &app && find_example(*written) != nullptr;
  if (program) hint = "it is a program: troupe run " + *written + "; ";
  return {"there is no command \"" + called + " " + *written + "\"", hint};
}

std::string refused(const Complaint& said, const std::string& called) {
  return "troupe: " + said.text + "\n  hint: " + said.hint + called + " --help\n";
}

/// What the program on this command line takes, when there is one and it can be found.
std::string what_it_takes(const CLI::App& run) {
  const auto named = run.get_option("PROGRAM")->results();
  if (named.empty()) return {};
  const auto choice = find_program(named.front(), runtime::this_module());
  if (!choice) return {};
  return std::string(choice->callable.name()) + " takes " +
         parameter_list(choice->callable.signature(), choice->parameters) + "; ";
}

/// What is wrong, as a sentence. The library's own words, except where they do not say it.
Complaint complaint(const CLI::ParseError& wrong, const std::vector<std::string>& arguments,
                    const CLI::App& app) {
  const std::string_view said = wrong.what();
  if (const auto colon = said.find(": 1 required "); colon != std::string_view::npos) {
    const auto* asked = innermost(app).first;
    return {std::string(said.substr(0, colon)) + " needs a value",
            said.starts_with("--param:") ? what_it_takes(*asked) : ""};
  }
  if (const auto colon = said.find(": At Most 1 required"); colon != std::string_view::npos) {
    return {std::string(said.substr(0, colon)) + " can be given only once", ""};
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&wrong) != nullptr) {
    return {"did not expect \"" + std::string(said.substr(said.find(": ") + 2)) + "\"", ""};
  }
  const bool no_command = dynamic_cast<const CLI::RequiredError*>(&wrong) != nullptr &&
                          said.find("subcommand") != std::string_view::npos;
  if (no_command) return no_such_command(arguments, app);
  return {wrong.what(), ""};
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  if (!arguments.empty() && arguments.front() == complete_option) {
    line.command = CompleteCommand{{arguments.begin() + 1, arguments.end()}};
    return line;
  }
  Definition all;
  CLI::App& app = all.app;
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    line.command = std::move(all.chosen);
    line.log_level = all.log_number();
  } catch (const CLI::CallForHelp&) {
    const auto [asked, called] = innermost(app);
    if (asked->get_name() == "run" && !asked->get_option("PROGRAM")->results().empty()) {
      line.command = ProgramHelpCommand{asked->get_option("PROGRAM")->results().front()};
      return line;
    }
    if (const auto word = in_place_of_a_command(arguments, app); word && !word->starts_with('-')) {
      line.exit = exit_usage;
      line.text = refused(no_such_command(arguments, app), called);
      return line;
    }
    line.text = asked->help(asked == &app ? "" : called.substr(0, called.rfind(' ')));
  } catch (const CLI::CallForVersion& asked) {
    line.text = std::string(asked.what()) + "\n";
  } catch (const CLI::ParseError& wrong) {
    line.exit = exit_usage;
    const auto [asked, called] = innermost(app);
    const auto unknown = asked == &app ? std::nullopt : unknown_option(arguments, *asked);
    const Complaint said =
        unknown ? Complaint{called + " has no option \"" + unknown->written + "\"", unknown->hint}
                : complaint(wrong, arguments, app);
    line.text = refused(said, called);
  }
  return line;
}

}  // namespace troupe::apps
