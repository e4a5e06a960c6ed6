#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace troupe::apps {

class Definition;

/// What `troupe help` can be asked for besides commands with more than one word.
struct Topic {
  std::string name, about;
};
[[nodiscard]] std::vector<Topic> help_topics();

/// The text of a subject ("types"); empty: there is none of that name.
[[nodiscard]] std::string subject_text(std::string_view name);

/// The manual page of a command, in the words of roff; `called` is how it is called ("troupe trace summary").
[[nodiscard]] std::string manual_page(const Definition& all, const std::string& called);

/// For bash, zsh or fish.
[[nodiscard]] std::string_view completion_script(std::string_view shell);

}  // namespace troupe::apps
