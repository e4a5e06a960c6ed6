#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/actors/status.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// What a node has learned while it ran: how long tasks of a callable take on its chips, by the size of their
/// tensors, and how fast bytes get there. Plain state.
class TROUPE_API Costs {
 public:
  /// Of tasks that are expected to take as long as each other; 0: of none.
  using Model = std::uint32_t;
  /// What takes longer is not learned.
  static constexpr std::chrono::nanoseconds longest = std::chrono::hours(3);
  /// Further callables and sizes are not learned.
  static constexpr std::size_t most_models = 16384;

  Costs();
  /// 0: there is none yet.
  Model known_model(std::string_view callable, std::uint64_t bytes) const;
  /// Made, where there is none; 0: there are too many.
  Model model_of(std::string_view callable, std::uint64_t bytes);
  std::optional<std::chrono::nanoseconds> takes(Model model) const;
  std::chrono::nanoseconds brings(std::uint64_t bytes) const;

  void took(Model model, std::chrono::nanoseconds time);
  void brought(std::uint64_t bytes, std::chrono::nanoseconds time);

  /// By callable and size.
  std::vector<LearnedCost> learned() const;

  /// One line for each: what `read` reads.
  std::string text() const;
  /// Adds what another node has learned.
  Result<void> read(std::string_view text);

 private:
  /// A mean in which the latest sixteen count most.
  struct Mean {
    double value = 0;
    std::uint64_t count = 0;
    void add(double one);
  };
  struct Key {
    std::string callable;
    std::uint32_t size = 0;  ///< in half powers of two
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  Model model_of_class(std::string_view callable, std::uint32_t size);

  std::map<Key, Model> known_;
  std::vector<Mean> models_;
  Mean bytes_in_a_second_;
};

/// What a file of learned costs says, looked at; nothing, where there is none yet.
TROUPE_API Result<std::string> read_costs(const std::string& file);
/// Replaces the file as a whole; where it is a link, what that names.
TROUPE_API Result<void> write_costs(const std::string& file, const std::string& text);

}  // namespace troupe::actors
