package agb.clients;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.file.Files;
import java.nio.file.Path;

/** The contract suite in Java. One line of JSON for each case of the list that CONTRACT names. */
public final class Suite {
  private static final Gson LINES = new GsonBuilder().serializeNulls().create();

  private Suite() {}

  public static void main(String[] args) throws Exception {
    var text = Files.readString(Path.of(System.getenv("CONTRACT")));
    JsonArray listed = JsonParser.parseString(text).getAsJsonObject().getAsJsonArray("cases");
    try (var world = new World()) {
      var cases = new Cases(world).byName();
      for (var one : listed) {
        var wanted = one.getAsJsonObject();
        var line = new JsonObject();
        var start = System.nanoTime();
        line.addProperty("case", wanted.get("name").getAsString());
        line.addProperty("error", run(cases.get(wanted.get("name").getAsString()), wanted));
        line.addProperty("ms", (System.nanoTime() - start) / 1_000_000);
        System.out.println(LINES.toJson(line));
      }
    }
    System.exit(0);
  }

  private static String run(Cases.Case found, JsonObject wanted) {
    if (found == null) {
      return "the suite has no such case";
    }
    try {
      found.run(wanted);
      return null;
    } catch (Exception | AssertionError error) {
      error.printStackTrace();
      return error.toString();
    }
  }
}
