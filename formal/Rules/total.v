(** rules.md, total: the sum of all counts. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Tables Count.Counting Facts.
Import ListNotations.
Open Scope Z_scope.

Definition is_region (v k : nat) (e : entry_of_tally) : bool :=
  (0 <=? of_label e) && (of_label e <? Z.of_nat v)
  && (0 <? queries e) && (queries e <? Z.shiftl 1 (Z.of_nat v))
  && (0 <? ns e) && (ns e <? Z.shiftl 1 (Z.of_nat k)) && (0 <=? right e) && (0 <=? missed e).

(** No cell is in both. *)
Definition apart (a b : entry_of_tally) : bool :=
  negb (of_label a =? of_label b) || (Z.land (queries a) (queries b) =? 0) || (Z.land (ns a) (ns b) =? 0).

Fixpoint all_apart (l : list entry_of_tally) : bool :=
  match l with [] => true | e :: rest => forallb (apart e) rest && all_apart rest end.

(** The same, label by label: there may be many. *)
Definition apart_by_label (v : nat) (l : list entry_of_tally) : bool :=
  forallb (fun label => all_apart (filter (fun e => of_label e =? Z.of_nat label) l)) (seq 0 v).

Fixpoint entries_of (premises : list fact) : outcome (list entry_of_tally) :=
  match premises with
  | [] => Fine []
  | Tally counts :: rest => match entries_of rest with Fine more => Fine (counts ++ more) | Refused why => Refused why end
  | _ :: _ => Refused wrong_premises
  end.

Definition total (w : weights) (premises : list fact) : outcome fact :=
  require (negb (Nat.eqb (length premises) 0)) wrong_premises
  match entries_of premises with
  | Refused why => Refused why
  | Fine entries =>
      require (forallb (is_region (vocabulary w) (positions w)) entries) no_such_region
      (require (apart_by_label (vocabulary w) entries) region_covered_twice
      (Fine (Accuracy (add_up (map right entries)) (add_up (map missed entries)))))
  end.

Lemma apart_by_label_all : forall v l, (forall e, In e l -> 0 <= of_label e < Z.of_nat v) -> apart_by_label v l = true -> all_apart l = true.
Proof.
  intros v l. unfold apart_by_label. rewrite forallb_forall. induction l as [|e l IH]; intros small each; [reflexivity|].
  cbn [all_apart]. apply andb_true_iff. split.
  - apply forallb_forall. intros x I. destruct (of_label e =? of_label x) eqn:same; [|unfold apart; now rewrite same].
    apply Z.eqb_eq in same. pose proof (small e (or_introl eq_refl)) as range.
    specialize (each (Z.to_nat (of_label e)) ltac:(apply in_seq; lia)). rewrite Z2Nat.id in each by lia.
    cbn [filter] in each. rewrite Z.eqb_refl in each. cbn [all_apart] in each. apply andb_prop in each. destruct each as [each _].
    rewrite forallb_forall in each. apply each, filter_In. split; [exact I | now apply Z.eqb_eq].
  - apply IH; [intros; apply small; now right|]. intros label L. specialize (each label L). cbn [filter] in each.
    destruct (of_label e =? Z.of_nat label); [|exact each]. cbn [all_apart] in each. now apply andb_prop in each.
Qed.

Lemma entries_true : forall M margin premises entries,
  Forall (holds M margin) premises -> entries_of premises = Fine entries -> Forall (entry_true M margin) entries.
Proof.
  induction premises as [|p premises IH]; intros entries all E; cbn in E; [inversion E; constructor|].
  inversion all as [|? ? H T]; subst. destruct p as [| | |counts| | | | | |]; try discriminate.
  destruct (entries_of premises) as [more|]; [|discriminate]. inversion E; subst.
  apply Forall_app. split; [exact H | now apply IH].
Qed.

(** A sequence of both regions would be in a cell of both. *)
Lemma apart_sound : forall M a b t, apart a b = true -> in_region M a t -> in_region M b t -> False.
Proof.
  intros M a b t T (L1 & Q1 & N1) (L2 & Q2 & N2). unfold apart in T. rewrite !orb_true_iff in T.
  destruct T as [[T|T]|T].
  - rewrite <- L1, <- L2, Z.eqb_refl in T. discriminate.
  - apply Z.eqb_eq in T. assert (B : Z.testbit (Z.land (queries a) (queries b)) (Z.of_nat (query M t)) = true)
      by now rewrite Z.land_spec, Q1, Q2.
    rewrite T, Z.bits_0 in B. discriminate.
  - apply Z.eqb_eq in T. assert (B : Z.testbit (Z.land (ns a) (ns b)) (Z.of_nat (others M t)) = true)
      by now rewrite Z.land_spec, N1, N2.
    rewrite T, Z.bits_0 in B. discriminate.
Qed.

Lemma add_disjoint : forall M (P : list nat -> Prop) (number : entry_of_tally -> Z) entries,
  all_apart entries = true ->
  Forall (fun e => at_least (number e) (fun t => P t /\ in_region M e t)) entries ->
  exists ts, NoDup ts /\ Forall P ts /\ add_up (map number entries) <= Z.of_nat (length ts) /\
    Forall (fun t => Exists (fun e => in_region M e t) entries) ts.
Proof.
  intros M P number. induction entries as [|e entries IH]; intros T all.
  - exists []. repeat split; try constructor. cbn. lia.
  - cbn in T. apply andb_prop in T. destruct T as [T1 T2]. inversion all as [|? ? (ts & U & each & many) rest]; subst.
    destruct (IH T2 rest) as (ts' & U' & each' & many' & where'). exists (ts ++ ts').
    rewrite Forall_forall in each. repeat split.
    + apply NoDup_app_disjoint; [assumption | assumption|]. intros t I J.
      rewrite Forall_forall in where'. specialize (where' t J). rewrite Exists_exists in where'.
      destruct where' as (e' & K & there). rewrite forallb_forall in T1.
      apply (apart_sound M e e' t); [now apply T1 | now apply each | assumption].
    + apply Forall_app. split; [apply Forall_forall; intros; now apply each | assumption].
    + cbn [map add_up]. rewrite app_length, Nat2Z.inj_add. lia.
    + apply Forall_app. split.
      * apply Forall_forall. intros t I. constructor. now apply each.
      * revert where'. apply Forall_impl. intros t X. now apply Exists_cons_tl.
Qed.

Theorem total_sound : forall w M margin premises f,
  Forall (holds M margin) premises -> total w premises = Fine f -> holds M margin f.
Proof.
  intros w M margin premises f all E. unfold total in E. apply require_fine in E. destruct E as [_ E].
  destruct (entries_of premises) as [entries|] eqn:F; [|discriminate].
  apply require_fine in E. destruct E as [regions E]. apply require_fine in E. destruct E as [T E]. inversion E; subst.
  apply apart_by_label_all in T.
  2:{ intros e I. rewrite forallb_forall in regions. specialize (regions e I). unfold is_region in regions.
      rewrite !andb_true_iff, Z.leb_le, Z.ltb_lt in regions. lia. }
  pose proof (entries_true M margin premises entries all F) as true.
  cbn [holds]. split.
  - destruct (add_disjoint M (correct M margin) right entries T) as (ts & U & P & many & _).
    + revert true. apply Forall_impl. intros e [C _]. exact C.
    + now exists ts.
  - destruct (add_disjoint M (wrong M margin) missed entries T) as (ts & U & P & many & _).
    + revert true. apply Forall_impl. intros e [_ W]. exact W.
    + now exists ts.
Qed.
