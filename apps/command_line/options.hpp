#pragma once

// Kinds of options that several commands have, with their checks.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "command_line/definition.hpp"

namespace troupe::apps {

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
inline CLI::Option* place(CLI::App* sub, const std::string& name, std::string& value,
                          const std::string& meaning, const char* type = "FILE") {
  return sub->add_option(name, value, meaning)
      ->type_name(type)
      ->check(CLI::Validator(
          [](const std::string& text) {
            return text.empty() ? std::string("the name is empty") : std::string();
          },
          ""));
}

/// One of a few words; in help "WORD", the words stand in the text.
inline CLI::Option* word(Definition& all, CLI::App* sub, const std::string& name, std::string& value,
                         const std::string& meaning, const std::vector<std::string>& words) {
  std::string listed;
  for (const auto& one : words) listed += (listed.empty() ? "" : ", ") + one;
  CLI::Option* option = sub->add_option(name, value, meaning + ": " + listed)->type_name("WORD");
  all.words[option] = words;
  return option->check(CLI::Validator(
      [words, listed](const std::string& text) {
        if (std::ranges::find(words, text) != words.end()) return std::string();
        return "\"" + text + "\" is none of: " + listed;
      },
      ""));
}

/// Names with commas between them. None of them is empty: an unset variable of a script is no host.
inline CLI::Option* names(CLI::App* sub, const std::string& name, std::vector<std::string>& to,
                          const std::string& meaning, const char* type) {
  const auto take = [name, &to](const std::vector<std::string>& given) {
    for (const auto& text : given) {
      for (std::size_t begin = 0; begin <= text.size();) {
        const auto end = std::min(text.find(',', begin), text.size());
        if (end == begin) throw CLI::ValidationError(name, "\"" + text + "\" has a name that is empty");
        to.push_back(text.substr(begin, end - begin));
        begin = end + 1;
      }
    }
  };
  return sub->add_option_function<std::vector<std::string>>(name, take, meaning)
      ->type_name(type)
      ->allow_extra_args(false);
}

}  // namespace troupe::apps
