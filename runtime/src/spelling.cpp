#include "troupe/runtime/spelling.hpp"

#include <algorithm>
#include <cctype>
#include <vector>

namespace troupe::runtime {
namespace {

std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

/// How many letters it takes to make one word of the other, a swap of neighbours counted as one.
std::size_t letters_between(std::string_view one, std::string_view other) {
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

}  // namespace

std::string nearest_word(std::string_view written, std::span<const std::string> known) {
  constexpr std::size_t longest = 64;  // the comparison takes the product of the lengths
  if (written.empty() || written.size() > longest) return {};
  const std::string wanted = plain(written);
  const auto letters = static_cast<std::size_t>(
      std::ranges::count_if(wanted, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }));
  std::size_t off = letters > 4 ? 3 : letters > 1 ? 2 : 1;  // what is as far as that is another word
  std::string found;
  for (const auto& word : known) {
    if (word == written) return {};
    if (word.size() > longest) continue;
    const std::size_t distance = letters_between(wanted, plain(word));
    if (distance >= off) continue;
    off = distance;
    found = word;
  }
  return found;
}

std::string did_you_mean(std::string_view written, std::span<const std::string> known) {
  const std::string meant = nearest_word(written, known);
  return meant.empty() ? std::string() : "did you mean " + meant + "? ";
}

}  // namespace troupe::runtime
