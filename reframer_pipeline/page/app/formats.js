/**
 * The formats of exports in words: what each is for, and what its files hold (`docs/exports.md`).
 * What belongs here: those words. What does not: choosing one (`exporting`), making the files (the server).
 */

/** @typedef {{format: string, name: string, says: string, holds: string, looked?: boolean}} Format `looked`: it is of the frames that were looked at */

/** @type {[string, Format[]][]} by use */
export const FORMATS = [
  [
    "Masks and tracks",
    [
      {
        format: "coco",
        name: "COCO",
        says: "Boxes, masks, tracks, labels and times, in one JSON",
        holds: "For programs: every box with its mask as run lengths, its track and its label, by frame.",
        looked: true,
      },
      {
        format: "davis",
        name: "DAVIS",
        says: "Masks of tracks as PNG pictures",
        holds:
          "A picture for each frame that was looked at, as large as the film: 00005.png is frame 5. Black is nothing; a picture is all " +
          "black where no track is in view. Each track has a colour of its own: the first dark red, then green, olive, dark blue. " +
          "meta.json says which is which. The film's own pictures are not in it.",
        looked: true,
      },
      {
        format: "mot",
        name: "MOT Challenge",
        says: "Boxes and tracks as text",
        holds: "A line for each box: frame, track, place and size. Here frames count from 1. No masks.",
        looked: true,
      },
      {
        format: "cvat",
        name: "CVAT",
        says: "Boxes, masks and tracks, to correct by hand",
        holds: "An XML to upload to a task of CVAT: a track has a box in each frame that was looked at, masks are shapes beside it.",
        looked: true,
      },
    ],
  ],
  [
    "Tables",
    [
      {
        format: "csv",
        name: "CSV",
        says: "Everything, for a spreadsheet",
        holds: "Five tables: scenes, tracks, sightings, masks as run lengths, and elements with their difficulty.",
        looked: true,
      },
      {
        format: "parquet",
        name: "Parquet",
        says: "Everything, with types",
        holds: "The same five tables: scenes, tracks, sightings, masks as run lengths, and elements.",
        looked: true,
      },
    ],
  ],
  [
    "Timelines",
    [
      {
        format: "otio",
        name: "OpenTimelineIO",
        says: "Scenes and elements with all their figures, kept mattes, crops",
        holds:
          "The film cut at its scenes. An element is a marker: green easy, yellow medium, red hard. A kept matte lies on a track of its " +
          "own, a kept reframe is an effect on the scenes, with its keyframes.",
      },
      {
        format: "fcpxml",
        name: "Final Cut Pro XML",
        says: "Scenes, elements and kept mattes, for Premiere and Resolve",
        holds: "The film cut at its scenes. An element is a marker without a colour. A kept matte lies on a track of its own.",
      },
      {
        format: "edl",
        name: "EDL",
        says: "Scenes and elements, for any editing program",
        holds: "The film cut at its scenes. An element is a marker: green easy, yellow medium, red hard.",
      },
      { format: "vtt", name: "WebVTT", says: "Scenes as chapters", holds: "A chapter for each scene, with its description. No elements." },
    ],
  ],
];
