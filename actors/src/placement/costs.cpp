#include "placement/costs.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <system_error>

#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

constexpr std::string_view first_line = "troupe learned costs 1";
constexpr std::string_view of_copies = "bytes/s";
constexpr double usual_bytes_in_a_second = 4e9;  ///< until something is known
constexpr double longest = 1e18;                 ///< nanoseconds: 31 years

/// In half powers of two: tasks of one class differ by less than a half.
std::uint32_t class_of(std::uint64_t bytes) {
  const auto width = static_cast<std::uint32_t>(std::bit_width(bytes));
  return width < 2 ? width : 2 * width + static_cast<std::uint32_t>((bytes >> (width - 2)) & 1U);
}
/// The least of a class.
std::uint64_t bytes_of(std::uint32_t size) {
  return size < 2 ? size : (std::uint64_t{2} + (size & 1U)) << (size / 2 - 2);
}

std::chrono::nanoseconds nanoseconds(double time) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(time, longest)));
}

}  // namespace

Costs::Costs() : models_(1) {}

void Costs::Mean::add(double one) {
  ++count;
  value += (one - value) / static_cast<double>(std::min<std::uint64_t>(count, 16));
}

Costs::Model Costs::model_of(std::string_view callable, std::uint64_t bytes) {
  const auto [known, fresh] =
      known_.try_emplace({std::string(callable), class_of(bytes)}, static_cast<Model>(models_.size()));
  if (fresh) models_.emplace_back();
  return known->second;
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
  if (model != 0 && time.count() >= 0) models_[model].add(static_cast<double>(time.count()));
}

void Costs::brought(std::uint64_t bytes, std::chrono::nanoseconds time) {
  if (time.count() > 0)
    bytes_in_a_second_.add(1e9 * static_cast<double>(bytes) / static_cast<double>(time.count()));
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
    return Error(Errc::bad_argument, "line " + std::to_string(number) + ": " + what,
                 "a file of learned costs is written by troupe; delete it to begin anew");
  };
  const auto next = [](std::string_view& from, char end) {
    const auto at = from.find(end);
    const auto word = from.substr(0, at);
    from.remove_prefix(at == std::string_view::npos ? from.size() : at + 1);
    return word;
  };
  const auto number_in = [&](std::string_view& line, auto most) -> std::optional<std::uint64_t> {
    const auto word = next(line, '\t');
    std::uint64_t value = 0;
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (problem != std::errc() || end != word.data() + word.size() ||
        value > static_cast<std::uint64_t>(most))
      return std::nullopt;
    return value;
  };
  constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();
  while (!text.empty()) {
    ++number;
    auto line = next(text, '\n');
    if (number == 1) {
      if (line != first_line) return wrong("it does not begin with the words of such a file");
      continue;
    }
    if (line.starts_with(of_copies)) {
      next(line, '\t');
      const auto speed = number_in(line, any);
      const auto count = number_in(line, any);
      if (!speed || !count || *count == 0) return wrong("no speed of copies");
      bytes_in_a_second_ = {static_cast<double>(*speed), *count};
      continue;
    }
    const auto size = number_in(line, 129);
    const auto time = number_in(line, longest);
    const auto count = number_in(line, any);
    if (!size || !time || !count || *count == 0 || line.empty()) return wrong("no cost of a callable");
    models_[model_of(line, bytes_of(static_cast<std::uint32_t>(*size)))] = {static_cast<double>(*time),
                                                                            *count};
  }
  return {};
}

Result<std::string> read_costs(const std::string& file) {
  std::error_code missing;
  if (!std::filesystem::exists(file, missing)) return std::string();
  std::ifstream in(file, std::ios::binary);
  std::ostringstream all;
  if (in.is_open() && in.peek() != std::ifstream::traits_type::eof()) all << in.rdbuf();
  auto text = all.str();
  if (!in.is_open() || in.bad() || all.bad())
    return Error(Errc::bad_argument, "cannot read \"" + file + "\"");
  if (const auto good = Costs().read(text); !good) {
    const auto& why = good.error();
    return Error(why.code(), "\"" + file + "\", " + why.message(), why.hint());
  }
  return text;
}

Result<void> write_costs(const std::string& file, const std::string& text) {
  const auto beside = file + ".new";
  std::ofstream out(beside, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (out && std::rename(beside.c_str(), file.c_str()) == 0) return {};
  const auto problem = std::generic_category().message(errno);
  (void)std::remove(beside.c_str());
  return Error(Errc::cannot_write, "cannot write \"" + file + "\": " + problem);
}

}  // namespace troupe::actors
