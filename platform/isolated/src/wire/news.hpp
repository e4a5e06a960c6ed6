#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "wire/bytes.hpp"

// What a platform tells its host, as bytes. The readers take anything and answer false when it is not that.
namespace troupe::platform::isolation {

/// As many as one frame takes; answers how many.
std::size_t put_completions(Writer& to, std::span<const troupe_completion> ends);
/// Messages point into `messages`, which grows.
bool read_completions(Reader& from, std::vector<troupe_completion>& ends, std::vector<std::string>& messages);

/// As many events as one frame takes; answers how many.
std::size_t put_trace(Writer& to, std::span<const troupe_trace_event> events);

class TraceBatch {
 public:
  bool read(Reader& from);
  std::span<troupe_trace_event> events() { return events_; }

 private:
  std::vector<troupe_trace_event> events_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::uint64_t>> producers_;
};

/// The record without its bytes, which travel as memory, or behind it (`inlined`).
void put_dump(Writer& to, const troupe_dump_record& record, bool inlined);
/// `name`: what the record's name points to. `inlined`: the bytes, when they came along.
bool read_dump(Reader& from, troupe_dump_record& record, std::string& name);

/// Answers to calls: the code, the sentence of a failure, and what else the call gives.
inline Writer answer_of(std::int32_t code, std::string_view text = {}) {
  Writer answer;
  answer.put(code).text(text);
  return answer;
}

}  // namespace troupe::platform::isolation
