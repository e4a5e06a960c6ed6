// What the time of a build is measured against: compiled by .ci/run, never linked. It stays as it is, so that
// the number of its own times that the rest takes can be compared from one machine and month to the next.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

using Value = std::variant<int, double, std::string, std::vector<int>>;

template <int N>
struct Step {
  static std::string apply(std::map<std::string, Value>& values) {
    std::ostringstream text;
    for (auto& [key, value] : values) {
      std::visit(
          [&](auto& one) {
            if constexpr (std::is_arithmetic_v<std::decay_t<decltype(one)>>) {
              one += N;
              text << key << one << ' ';
            } else {
              text << key << one.size() << ' ';
            }
          },
          value);
    }
    std::vector<std::pair<std::string, int>> order;
    for (const auto& [key, value] : values) order.emplace_back(key, static_cast<int>(value.index()) * N);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.second < b.second; });
    std::function<int(int)> sum = [&](int i) {
      return i == 0 ? N : order[static_cast<std::size_t>(i) % order.size()].second + sum(i - 1);
    };
    return text.str() + std::to_string(sum(N)) + Step<N - 1>::apply(values);
  }
};
template <>
struct Step<0> {
  static std::string apply(std::map<std::string, Value>&) { return {}; }
};

}  // namespace

int main() {
  std::map<std::string, Value> values{{"a", 1}, {"b", 2.0}, {"c", std::string("d")}};
  std::unordered_map<std::string, std::shared_ptr<std::regex>> words;
  words.emplace("word", std::make_shared<std::regex>("[a-z]+([0-9]*)"));
  const auto text = Step<10>::apply(values);
  std::cout << text << std::regex_search(text, *words["word"]) << '\n';
}
