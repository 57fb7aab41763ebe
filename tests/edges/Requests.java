import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Sends as many requests as it is told with JDK's HttpClient as it is by default, and fails where one is not answered as it should be. */
public final class Requests {
    private static final int AT_ONCE = 16;

    private Requests() {}

    public static void main(String[] arguments) throws InterruptedException {
        URI uri = URI.create(arguments[0]);
        int count = Integer.parseInt(arguments[1]);
        HttpClient client = HttpClient.newHttpClient();
        AtomicInteger failed = new AtomicInteger();
        ExecutorService workers = Executors.newFixedThreadPool(AT_ONCE);
        for (int number = 0; number < count; number++) {
            String said = "number " + number;
            workers.execute(() -> {
                String problem = ask(client, uri, said);
                if (problem != null && failed.incrementAndGet() <= 5) {
                    System.err.println(uri + ": " + problem);
                }
            });
        }
        workers.shutdown();
        if (!workers.awaitTermination(10, TimeUnit.MINUTES)) {
            System.err.println(uri + ": the requests do not come to an end");
            System.exit(1);
        }
        System.out.println(uri + ": " + (count - failed.get()) + " of " + count + " requests were answered");
        System.exit(failed.get() == 0 ? 0 : 1);
    }

    private static String ask(HttpClient client, URI uri, String said) {
        HttpRequest request = HttpRequest.newBuilder(uri)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"v\": \"" + said + "\"}"))
                .build();
        try {
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            boolean right = response.statusCode() == 200 && response.body().contains("\"" + said + "\"");
            return right ? null : response.statusCode() + " " + response.body();
        } catch (java.io.IOException error) {
            return error.toString();
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            return error.toString();
        }
    }
}
