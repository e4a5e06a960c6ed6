#include "placement/costs.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
#include <system_error>

#include "troupe/actors/errc.hpp"
#include "whole_file.hpp"

namespace troupe::actors {
namespace {

constexpr std::string_view first_line = "troupe learned costs 1";
constexpr std::string_view of_copies = "bytes/s";
constexpr double usual_bytes_in_a_second = 4e9;           ///< until something is known
constexpr std::uint64_t fastest = 1'000'000'000'000'000;  ///< bytes in a second
constexpr std::uint64_t most_counted = 1ULL << 32U;
constexpr std::uintmax_t largest_file = 64ULL << 20U;

/// In half powers of two: tasks of one class differ by less than a half.
std::uint32_t class_of(std::uint64_t bytes) {
  const auto width = static_cast<std::uint32_t>(std::bit_width(bytes));
  return width < 2 ? width : 2 * width + static_cast<std::uint32_t>((bytes >> (width - 2)) & 1U);
}
/// The least of a class.
std::uint64_t bytes_of(std::uint32_t size) {
  return size < 2 ? size : (std::uint64_t{2} + (size & 1U)) << (size / 2 - 2);
}

constexpr bool is_class(std::uint64_t size) { return size < 2 || (size > 3 && size < 130); }

std::chrono::nanoseconds nanoseconds(double time) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(time, 1e18)));
}

}  // namespace

Costs::Costs() : models_(1) {}

void Costs::Mean::add(double one) {
  count = std::min(count + 1, most_counted);
  value += (one - value) / static_cast<double>(std::min<std::uint64_t>(count, 16));
}

Costs::Model Costs::known_model(std::string_view callable, std::uint64_t bytes) const {
  const auto known = known_.find({std::string(callable), class_of(bytes)});
  return known == known_.end() ? 0 : known->second;
}

Costs::Model Costs::model_of(std::string_view callable, std::uint64_t bytes) {
  return model_of_class(callable, class_of(bytes));
}

Costs::Model Costs::model_of_class(std::string_view callable, std::uint32_t size) {
  Key key{std::string(callable), size};
  if (const auto known = known_.find(key); known != known_.end()) return known->second;
  if (models_.size() > most_models) return 0;
  known_.emplace(std::move(key), static_cast<Model>(models_.size()));
  models_.emplace_back();
  return static_cast<Model>(models_.size() - 1);
}

std::optional<std::chrono::nanoseconds> Costs::takes(Model model) const {
  if (models_[model].count == 0) return std::nullopt;
  return nanoseconds(models_[model].value);
}

std::chrono::nanoseconds Costs::brings(std::uint64_t bytes) const {
  const auto speed = bytes_in_a_second_.count == 0 ? usual_bytes_in_a_second : bytes_in_a_second_.value;
  return nanoseconds(1e9 * static_cast<double>(bytes) / std::max(speed, 1.0));
}

void Costs::took(Model model, std::chrono::nanoseconds time) {
  if (model != 0 && time.count() >= 0 && time <= longest)
    models_[model].add(static_cast<double>(time.count()));
}

void Costs::brought(std::uint64_t bytes, std::chrono::nanoseconds time) {
  if (bytes == 0 || time.count() <= 0) return;
  const auto speed = 1e9 * static_cast<double>(bytes) / static_cast<double>(time.count());
  bytes_in_a_second_.add(std::clamp(speed, 1.0, static_cast<double>(fastest)));
}

std::vector<LearnedCost> Costs::learned() const {
  std::vector<LearnedCost> all;
  for (const auto& [key, model] : known_) {
    const auto& mean = models_[model];
    if (mean.count > 0)
      all.push_back({key.callable, bytes_of(key.size), nanoseconds(mean.value), mean.count});
  }
  return all;
}

std::string Costs::text() const {
  std::ostringstream out;
  out << first_line << '\n';
  if (bytes_in_a_second_.count > 0)
    out << of_copies << '\t' << std::llround(bytes_in_a_second_.value) << '\t' << bytes_in_a_second_.count
        << '\n';
  // Names are last: they may be anything but a new line.
  for (const auto& [key, model] : known_) {
    const auto& mean = models_[model];
    if (mean.count > 0 && key.callable.find('\n') == std::string::npos)
      out << key.size << '\t' << std::llround(mean.value) << '\t' << mean.count << '\t' << key.callable
          << '\n';
  }
  return out.str();
}

Result<void> Costs::read(std::string_view text) {
  std::size_t number = 0;
  const auto wrong = [&](const char* what) {
    return Error(Errc::bad_argument,
                 (number != 0 ? "line " + std::to_string(number) + ": " : std::string()) + what,
                 "a file of learned costs is written by troupe: name another one, or move this one away");
  };
  const auto next = [](std::string_view& from, char end) {
    const auto at = from.find(end);
    const auto word = from.substr(0, at);
    from.remove_prefix(at == std::string_view::npos ? from.size() : at + 1);
    return word;
  };
  const auto number_in = [&](std::string_view& line, std::uint64_t most) -> std::optional<std::uint64_t> {
    const auto word = next(line, '\t');
    std::uint64_t value = 0;
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (problem != std::errc() || end != word.data() + word.size() || value > most) return std::nullopt;
    return value;
  };
  if (!text.empty() && text.back() != '\n') return wrong("the last line has no end");
  while (!text.empty()) {
    ++number;
    auto line = next(text, '\n');
    if (number == 1) {
      if (line != first_line) return wrong("it does not begin with the words of such a file");
      continue;
    }
    if (line.starts_with(of_copies)) {
      next(line, '\t');
      const auto speed = number_in(line, fastest);
      const auto count = number_in(line, most_counted);
      if (!speed || *speed == 0 || !count || *count == 0 || !line.empty()) return wrong("no speed of copies");
      bytes_in_a_second_ = {static_cast<double>(*speed), *count};
      continue;
    }
    const auto size = number_in(line, 129);
    const auto time = number_in(line, static_cast<std::uint64_t>(longest.count()));
    const auto count = number_in(line, most_counted);
    if (!size || !is_class(*size) || !time || !count || *count == 0 || line.empty())
      return wrong("no cost of a callable");
    if (const auto model = model_of_class(line, static_cast<std::uint32_t>(*size)); model != 0)
      models_[model] = {static_cast<double>(*time), *count};
  }
  return {};
}

Result<std::string> read_costs(const std::string& file) {
  const auto cannot = [&](const std::string& why) {
    return Error(Errc::bad_argument, "cannot read \"" + file + "\": " + why,
                 "models names a file that troupe writes and reads");
  };
  std::error_code problem;
  const auto status = std::filesystem::status(file, problem);
  if (status.type() == std::filesystem::file_type::not_found) {
    const auto folder = std::filesystem::absolute(file, problem).parent_path();
    if (problem || !std::filesystem::is_directory(folder, problem)) return cannot("there is no such folder");
    if (::access(folder.c_str(), W_OK) != 0) return cannot(std::generic_category().message(errno));
    return std::string();
  }
  if (problem) return cannot(problem.message());
  if (status.type() != std::filesystem::file_type::regular) return cannot("it is no plain file");
  if (std::filesystem::file_size(file, problem) > largest_file || problem) return cannot("it is too large");
  std::ifstream in(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad()) return cannot(std::generic_category().message(errno));
  if (const auto good = Costs().read(text); !good) {
    const auto& why = good.error();
    return Error(why.code(), "\"" + file + "\", " + why.message(), why.hint());
  }
  return text;
}

Result<void> write_costs(const std::string& file, const std::string& text) {
  return write_whole_file(file, "\"" + file + "\"", std::as_bytes(std::span(text)));
}

}  // namespace troupe::actors
