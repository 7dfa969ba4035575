# Runs a piece of code as a notebook does: the value of the last expression is a result.
folder <- commandArgs(trailingOnly = TRUE)[1]

quoted <- function(text) {
  text <- paste(text, collapse = "\n")
  for (pair in list(c("\\", "\\\\"), c("\"", "\\\""), c("\n", "\\n"), c("\r", "\\r"), c("\t", "\\t"))) {
    text <- gsub(pair[1], pair[2], text, fixed = TRUE)
  }
  paste0("\"", text, "\"")
}

results <- "[]"
failure <- "null"
tryCatch({
  value <- list(value = NULL, visible = FALSE)
  for (expression in parse(file.path(folder, "main.R"))) {
    value <- withVisible(eval(expression, globalenv()))
  }
  if (value$visible) {
    shown <- quoted(capture.output(print(value$value)))
    results <- paste0("[{\"text/plain\": ", shown, ", \"isMainResult\": true}]")
  }
}, error = function(error) {
  failure <<- quoted(paste0("Error: ", conditionMessage(error)))
})
writeLines(
  paste0("{\"results\": ", results, ", \"error\": ", failure, "}"),
  file.path(folder, "result.json")
)
if (failure != "null") quit(status = 1)
