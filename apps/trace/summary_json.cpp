#include <nlohmann/json.hpp>

#include "trace/analysis.hpp"

namespace troupe::apps {
namespace {

using Json = nlohmann::ordered_json;

Json row(const Utilisation& of) {
  Json row = {{"place", of.process}};
  if (!of.thread.empty()) row["lane"] = of.thread;
  if (of.thread.empty()) row["lanes"] = of.lanes;
  row.update(Json{{"spans", of.spans}, {"busy", of.busy}, {"share", of.share}});
  return row;
}

Json row(const actors::Trace& trace, const actors::TraceSpan& span) {
  return {{"name", trace.text(span.name)},
          {"task", span.task == 0 ? std::string() : actors::task_label(span.task)},
          {"where", place_of(trace, span)},
          {"took", span.duration()}};
}

}  // namespace

std::string summary_json(const actors::Trace& trace, const Analysis& analysis) {
  Json all = {{"length", analysis.length},     {"tasks", analysis.tasks},         {"failed", analysis.failed},
              {"poisoned", analysis.poisoned}, {"cancelled", analysis.cancelled}, {"dropped", trace.dropped}};
  all["metadata"] = Json::object();
  for (const auto& [key, value] : trace.metadata) all["metadata"][key] = value;
  for (const char* list : {"places", "lanes", "callables", "longest"}) all[list] = Json::array();
  for (const auto& one : analysis.processes) all["places"].push_back(row(one));
  for (const auto& one : analysis.lanes) all["lanes"].push_back(row(one));
  for (const auto& one : analysis.callables) {
    all["callables"].push_back({{"name", one.name},
                                {"kind", name_of(one.kind)},
                                {"spans", one.count},
                                {"total", one.total},
                                {"least", one.least},
                                {"most", one.most}});
  }
  for (const std::size_t i : analysis.longest) all["longest"].push_back(row(trace, trace.spans[i]));
  all["critical_path"] = {{"length", analysis.critical_length}, {"steps", Json::array()}};
  for (const std::size_t i : analysis.critical) {
    all["critical_path"]["steps"].push_back(row(trace, trace.spans[i]));
  }
  all["waits"] = Json::array();
  for (const auto& one : analysis.waits) {
    all["waits"].push_back({{"reason", name_of(one.reason)},
                            {"spans", one.spans},
                            {"total", one.total},
                            {"most", one.most},
                            {"worst", actors::task_label(one.worst)}});
  }
  all["moves"] = Json::array();
  for (const auto& one : analysis.moves) {
    all["moves"].push_back({{"place", one.chip},
                            {"way", one.way},
                            {"spans", one.count},
                            {"bytes", one.bytes},
                            {"total", one.total}});
  }
  return all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace troupe::apps
