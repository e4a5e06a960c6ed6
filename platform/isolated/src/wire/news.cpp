#include "wire/news.hpp"

#include <algorithm>

#include "wire/frame.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr std::size_t most_text = std::size_t{4} << 10U;

std::string_view bounded(const char* text) {
  return text != nullptr ? std::string_view(text).substr(0, most_text) : std::string_view();
}

struct End {
  std::uint64_t correlation, caused_by, queued, started, finished, tasks;
  std::int32_t code;
  std::uint32_t reserved;
};

}  // namespace

std::size_t put_completions(Writer& to, std::span<const troupe_completion> ends) {
  constexpr std::size_t most = 1024;
  ends = ends.first(std::min(most, ends.size()));
  to.put(static_cast<std::uint32_t>(ends.size()));
  for (const auto& end : ends) {
    to.put(End{end.correlation, end.caused_by, end.queued_ns, end.started_ns, end.finished_ns, end.chip_tasks,
               end.code, 0});
    to.text(bounded(end.message));
  }
  return ends.size();
}

bool read_completions(Reader& from, std::vector<troupe_completion>& ends,
                      std::vector<std::string>& messages) {
  const auto count = from.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && from.fine(); ++i) {
    const auto end = from.get<End>();
    const auto message = from.text();
    if (!from.fine()) return false;
    troupe_completion told{};
    told.correlation = end.correlation;
    told.code = end.code;
    told.caused_by = end.caused_by;
    told.queued_ns = end.queued;
    told.started_ns = end.started;
    told.finished_ns = end.finished;
    told.chip_tasks = end.tasks;
    ends.push_back(told);
    messages.emplace_back(message);
  }
  return from.complete();
}

std::size_t put_trace(Writer& to, std::span<const troupe_trace_event> events) {
  // A frame never has more than this of them, however many producers they name.
  constexpr std::size_t most = 1024, most_producers = 65536;
  std::size_t count = 0, producers = 0;
  while (count < events.size() && count < most) {
    producers += events[count].producers != nullptr ? events[count].producer_count : 0;
    if (producers > most_producers && count != 0) break;
    ++count;
  }
  to.put(static_cast<std::uint32_t>(count));
  for (auto event : events.first(count)) {
    const auto* const named = event.producers;
    event.producer_count =
        named != nullptr ? std::min(event.producer_count, static_cast<std::uint32_t>(most_producers)) : 0;
    const auto name = bounded(event.name);
    event.name = nullptr;
    event.producers = nullptr;
    to.put(event).text(name).raw(named, std::size_t{event.producer_count} * sizeof(std::uint64_t));
  }
  return count;
}

bool TraceBatch::read(Reader& from) {
  const auto count = from.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && from.fine(); ++i) {
    events_.push_back(from.get<troupe_trace_event>());
    names_.emplace_back(from.text());
    if (!from.values(producers_.emplace_back(), events_.back().producer_count)) return false;
  }
  if (!from.complete()) return false;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    events_[i].name = names_[i].c_str();
    events_[i].producers = producers_[i].empty() ? nullptr : producers_[i].data();
  }
  return true;
}

void put_dump(Writer& to, const troupe_dump_record& record, bool inlined) {
  auto told = record;
  told.name = nullptr;
  told.data = nullptr;
  to.put(told).text(bounded(record.name)).put(std::uint32_t{inlined});
  if (inlined) to.raw(record.data, static_cast<std::size_t>(record.bytes));
}

bool read_dump(Reader& from, troupe_dump_record& record, std::string& name) {
  record = from.get<troupe_dump_record>();
  name = from.text();
  record.name = name.c_str();
  record.data = nullptr;
  if (from.get<std::uint32_t>() != 0) {
    record.data = from.take(static_cast<std::size_t>(record.bytes)).data();
  }
  return from.complete();
}

}  // namespace troupe::platform::isolation
