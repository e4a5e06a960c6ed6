#pragma once

#include <string>
#include <vector>

namespace troupe::apps {

/// What the scripts of `troupe completion` call the command with; not for people.
inline constexpr const char* complete_option = "--complete";

/// How a word may go on.
struct Candidates {
  struct Word {
    std::string text, meaning;
  };
  std::vector<Word> words;
  enum class Names : std::uint8_t { none, files, folders } names = Names::none;  ///< these fit as well
};

/// How the last of these words, which stand behind `troupe`, may go on. Nothing is loaded for it.
[[nodiscard]] Candidates complete(const std::vector<std::string>& words);

}  // namespace troupe::apps
