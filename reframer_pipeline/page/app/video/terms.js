/**
 * The words that the video's screen uses, explained: for its help, and for the tips where they stand.
 *
 * What belongs here: a word, and what it means in a sentence or three (docs/vocabulary.md and docs/difficulty.md say it in full). What does
 * not: names of figures (`figures.js`), keys (`keys.js`).
 */
export const TERMS = {
  Scene: "What lies between two cuts.",
  Track: "One person or product, followed until the next cut. It has a name such as obj_007, and one colour everywhere.",
  Element: "A person or product of a scene that could be replaced by something else.",
  "Solid box, dashed box":
    "A solid box was measured in a frame that was looked at, and so was the mask in it, if there is one. By default every fifth frame is looked at. " +
    "A dashed box lies between two of these. It is told from both, and has no mask.",
  Difficulty:
    "How hard it would be to put something else in its place: easy, medium or hard. Measured are how much of it is hidden, how fast it " +
    "moves, how sure its outline is, how large it is, how long it is in view, and more. The hardest of these decides.",
  Score: "The number beside the difficulty, 0 to 100. Below 33 is easy, from 67 on is hard.",
  Confidence:
    "How sure the model is that it saw a person or product there. Of a track it is the mean of its boxes. " +
    "Of a match it is how surely Gemini's element is that track.",
  "Share of the picture": "How much of the picture's area it fills. The largest size is the most that it ever fills.",
  "By hand": "Somebody corrected what was found: what it is, which class, whether it is one thing or two, or how difficult it is to replace.",
  Doubt: "Something in the results that looks wrong, such as a track that goes on over a cut. It is a hint where to look first.",
  Matte:
    "Which pixels are a person's or a product's, in every frame: white inside, and nothing or black around it. A cutout is the picture itself, " +
    "with nothing around it.",
  Reframing: "The film in another ratio, such as 9:16, cut so that what matters stays in view.",
  Importance:
    "How much a scene matters, 1 to 10: by its length, how much of the picture somebody or something fills, who is there, and how fast " +
    "they move. If Gemini described the scene, it is Gemini's number.",
};
