// What a shell may put behind `troupe …`, from the definition of the command line.
#include "command_line/complete.hpp"

#include <algorithm>
#include <ostream>
#include <set>

#include "command/commands.hpp"
#include "command_line/definition.hpp"
#include "command_line/help.hpp"
#include "examples/catalogue.hpp"

namespace troupe::apps {
namespace {

/// The words before the one that is being written, understood as far as they go.
struct Read {
  const CLI::App* command = nullptr;
  const CLI::Option* open = nullptr;     ///< its value comes next
  bool options = true;                   ///< no "--" yet
  std::vector<std::string> places = {};  ///< what stands in the positionals
  std::set<const CLI::Option*> given = {};
};

const CLI::Option* option_of(const CLI::App* command, const std::string& name) {
  for (; command != nullptr; command = command->get_parent()) {
    if (const auto* option = command->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

Read read_words(const CLI::App& app, const std::vector<std::string>& words) {
  Read read{&app};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (read.open != nullptr) {
      read.open = nullptr;
    } else if (word == "--" && read.options) {
      read.options = false;
    } else if (read.options && word.size() > 1 && word.front() == '-') {
      const auto equals = word.find('=');
      const auto* option = option_of(read.command, word.substr(0, equals));
      if (option == nullptr) continue;
      read.given.insert(option);
      if (equals == std::string::npos && takes_value(*option)) read.open = option;
    } else {
      const auto commands = commands_of(*read.command);
      const auto sub =
          std::ranges::find_if(commands, [&](const auto* one) { return one->get_name() == word; });
      if (sub != commands.end()) {
        read.command = *sub;
      } else {
        read.places.push_back(word);
      }
    }
  }
  return read;
}

void add_programs(Candidates& found) {
  for (const Example& example : examples()) {
    found.words.push_back({std::string(example.name), std::string(example.summary)});
  }
}

void add_parameters(const Read& read, Candidates& found) {
  const Example* example = read.places.empty() ? nullptr : find_example(read.places.front());
  if (example == nullptr) return;
  for (const Parameter& parameter : example->parameters) {
    found.words.push_back({std::string(parameter.name) + "=",
                           std::string(parameter.meaning) +
                               (parameter.value ? " (" + std::string(*parameter.value) + ")" : "")});
  }
}

/// What may stand in the place that is called so, or behind the option that takes it.
void add_values(const Definition& all, const Read& read, const CLI::Option& taken, Candidates& found) {
  const std::string name = taken.get_positional() ? taken.get_name(true) : "--" + taken.get_lnames().front();
  if (const auto words = all.words.find(&taken); words != all.words.end()) {
    for (const auto& word : words->second) found.words.push_back({word, ""});
  } else if (name == "PROGRAM") {
    add_programs(found);
    found.names = Candidates::Names::files;
  } else if (name == "TOPIC") {
    for (const auto& topic : help_topics()) found.words.push_back({topic.name, topic.about});
  } else if (name == "--param") {
    add_parameters(read, found);
  } else if (name == "--platform" || name == "PLATFORM") {
    for (const auto& platform : platform_names()) found.words.push_back({platform, ""});
    found.names = Candidates::Names::files;
  } else if (name == "FOLDER" || taken.get_type_name() == "FOLDER") {
    found.names = Candidates::Names::folders;
  } else if (taken.get_type_name() == "FILE" || taken.get_positional()) {
    found.names = Candidates::Names::files;
  }
}

void add_options(const Read& read, Candidates& found) {
  for (const CLI::App* command = read.command; command != nullptr; command = command->get_parent()) {
    for (const auto* option : shown_options(*command)) {
      if (option->get_positional() || option->get_lnames().empty()) continue;
      if (read.given.contains(option) && option->get_expected_max() <= 1) continue;
      const std::string name = "--" + option->get_lnames().front();
      const bool known = std::ranges::find(found.words, name, &Candidates::Word::text) != found.words.end();
      if (!known) found.words.push_back({name, option->get_description()});
    }
  }
}

const CLI::Option* place_of(const CLI::App& command, std::size_t number) {
  const CLI::Option* last = nullptr;
  for (const auto* option : shown_options(command)) {
    if (!option->get_positional()) continue;
    last = option;
    if (number-- == 0) return option;
  }
  return last != nullptr && last->get_expected_max() > 1 ? last : nullptr;
}

}  // namespace

Candidates complete(const std::vector<std::string>& words) {
  const Definition all;
  const Read read = read_words(all.app, words);
  const std::string last = words.empty() ? std::string() : words.back();
  Candidates found;
  std::string kept;  // of the word, before what is completed
  const auto equals = last.find('=');
  if (read.open != nullptr) {
    add_values(all, read, *read.open, found);
  } else if (read.options && last.starts_with("--") && equals != std::string::npos) {
    kept = last.substr(0, equals + 1);
    if (const auto* option = option_of(read.command, last.substr(0, equals))) {
      add_values(all, read, *option, found);
    }
  } else if (read.options && last.starts_with("-")) {
    add_options(read, found);
  } else {
    for (const auto* sub : commands_of(*read.command)) {
      found.words.push_back({sub->get_name(), sub->get_description()});
    }
    if (const auto* place = place_of(*read.command, read.places.size())) add_values(all, read, *place, found);
  }
  for (auto& word : found.words) word.text.insert(0, kept);
  std::erase_if(found.words, [&](const auto& word) { return !word.text.starts_with(last); });
  return found;
}

int execute(const CompleteCommand& command, Console& console) {
  const Candidates found = complete(command.words);
  for (const auto& word : found.words) {
    std::string meaning = word.meaning.substr(0, word.meaning.find('\n'));
    console.out << word.text << "\t" << meaning << "\n";
  }
  if (found.names == Candidates::Names::files) console.out << ":files\n";
  if (found.names == Candidates::Names::folders) console.out << ":folders\n";
  return exit_ok;
}

int execute(const CompletionCommand& command, Console& console) {
  console.out << completion_script(command.shell);
  return exit_ok;
}

}  // namespace troupe::apps
